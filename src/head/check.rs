//! Whether a head has a meaning for a number of classes, a dimension and a kind of targets.

use std::f64::consts::PI;

use super::{Head, HeadLoss, RowNorm, Similarity, TargetMargin};
use crate::batch::TargetKind;
use crate::{Error, Result};

impl Head {
    /// Checks every number, and that the terms go together, for features of dimension `dim` and `classes` classes.
    ///
    /// # Errors
    /// [`Error::Parameter`] for values out of range, [`Error::Combination`] for terms without a joint meaning,
    /// [`Error::Limit`] for more classes than labels can name.
    pub fn check(&self, classes: usize, dim: usize) -> Result<()> {
        let at_least_1 = |name, value: usize| match value {
            0 => Err(Error::Parameter { name, value: 0.0, expected: "at least 1" }),
            _ => Ok(()),
        };
        at_least_1("the number of classes", classes)?;
        at_least_1("the feature dimension", dim)?;
        at_least_1("the number of parts", self.parts)?;
        if i32::try_from(classes).is_err() {
            return Err(Error::Limit {
                what: "the number of classes".into(),
                needed: classes as u64,
                allowed: i32::MAX as u64,
                cure: "labels are 32-bit integers",
            });
        }
        if !dim.is_multiple_of(self.parts) {
            return Err(Error::Parameter {
                name: "the feature dimension",
                value: dim as f64,
                expected: "a multiple of the head's number of parts",
            });
        }
        number("the head's scale", self.scale, self.scale > 0.0, "finite in f32 and above 0")?;
        self.features.check(["the features' power", "the features' eps", "the features' offset"])?;
        self.weights.check(["the weights' power", "the weights' eps", "the weights' offset"])?;
        self.check_margin()
    }

    fn check_margin(&self) -> Result<()> {
        match self.margin {
            TargetMargin::None => Ok(()),
            TargetMargin::Cosine { margin } => {
                number("the cosine margin", margin, margin >= 0.0, "finite in f32 and at least 0")
            }
            TargetMargin::Angle { margin, .. } => {
                number("the angular margin", margin, (0.0..=PI).contains(&margin), "in [0, pi]")?;
                let cosine = self.features.is_unit() && self.weights.is_unit() && self.parts == 1;
                match cosine && self.similarity == Similarity::Dot {
                    true => Ok(()),
                    false => Err(Error::Combination {
                        first: "an angular margin",
                        second: "a similarity that is no cosine",
                        cure: "normalise features and weights to unit rows in one part, or use a margin in the cosine",
                    }),
                }
            }
        }
    }

    /// Checks the kind of targets.
    pub(crate) fn check_targets(&self, kind: TargetKind) -> Result<()> {
        match (self.margin, kind) {
            (TargetMargin::None, _) | (_, TargetKind::Hard) => Ok(()),
            _ => Err(Error::Combination {
                first: "the head's margin",
                second: "targets without one label",
                cure: "use hard labels, or an additive margin by class in the loss (SoftmaxLoss::margin)",
            }),
        }
    }
}

impl RowNorm {
    pub(crate) fn check(&self, [power, eps, offset]: [&'static str; 3]) -> Result<()> {
        let expected = "finite in f32 and at least 0";
        number(power, self.power, self.power >= 0.0, expected)?;
        number(eps, self.eps, self.eps >= 0.0, expected)?;
        number(offset, self.offset, self.offset >= 0.0, expected)?;
        // What divides a row of zeros, in f32 as well.
        let least = self.eps + self.offset;
        let expected = "at least 1e-30 where rows are normalised: a row of 0 is divided by it";
        number(eps, least, self.power == 0.0 || least >= 1e-30, expected)
    }

    /// Whether rows that are long enough get norm 1.
    fn is_unit(&self) -> bool {
        matches!((self.power, self.offset), (1.0, 0.0))
    }
}

impl HeadLoss {
    /// Checks head and loss for `classes` classes, features of dimension `dim` and targets of `kind`.
    ///
    /// # Errors
    /// Those of [`Head::check`] and [`SoftmaxLoss::check`](crate::SoftmaxLoss::check), and [`Error::Combination`] for a
    /// margin without one label.
    pub fn check(&self, classes: usize, dim: usize, kind: TargetKind) -> Result<()> {
        self.head.check(classes, dim)?;
        self.head.check_targets(kind)?;
        self.loss.check(classes, kind)
    }
}

/// One number: `ok`, and finite once it is an f32.
fn number(name: &'static str, value: f64, ok: bool, expected: &'static str) -> Result<()> {
    match ok && value.abs() <= f64::from(f32::MAX) {
        true => Ok(()),
        false => Err(Error::Parameter { name, value, expected }),
    }
}
