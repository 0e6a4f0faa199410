//! What is asked of a head at test time.

use super::Head;
use crate::{Error, Result};

/// What a mean feature's effect on the logits is taken out with: the causal classifier's total direct effect (Tang et
/// al. 2020, arXiv 2009.12991).
///
/// ```text
/// x^_h  ->  x^_h - alpha cos(x^_h, c_h) c_h / |c_h|        for each part h
/// ```
/// A part of `c` or `x^` of norm 0 changes nothing.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Effect {
    /// `c`, `[D]`: the mean feature of training, of which only the direction of each part counts. Finite.
    pub direction: Vec<f64>,
    /// How much is taken out: finite, at least 0; the authors' code 3, on CIFAR 1 or 1.5.
    pub alpha: f64,
}

/// Prediction with a head: plain logits, without the label's margin, and the classes of the largest ones.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Inference {
    /// How many classes are named per row, in descending order of their logits, the lower class first on ties. At
    /// most K. Default 1; 0 names none.
    pub top: usize,
    /// `[K]`: subtracted from the logits, finite: post-hoc logit adjustment
    /// ([`SoftmaxLoss::post_hoc_bias`](crate::SoftmaxLoss::post_hoc_bias)). Absent: 0.
    pub adjustment: Option<Vec<f64>>,
    /// The effect that is taken out of the features. Absent: none.
    pub effect: Option<Effect>,
}

impl Default for Inference {
    /// The class of the largest logit.
    fn default() -> Self {
        Self { top: 1, adjustment: None, effect: None }
    }
}

impl Inference {
    /// The classes of the `top` largest logits.
    pub fn top(top: usize) -> Self {
        Self { top, ..Self::default() }
    }

    /// Subtracts `adjustment`, `[K]`, from the logits.
    #[must_use]
    pub fn with_adjustment(mut self, adjustment: Vec<f64>) -> Self {
        self.adjustment = Some(adjustment);
        self
    }

    /// Takes the effect of `direction`, `[D]`, out, `alpha` times; see [`Effect`].
    #[must_use]
    pub fn with_effect(mut self, direction: impl Into<Vec<f64>>, alpha: f64) -> Self {
        self.effect = Some(Effect { direction: direction.into(), alpha });
        self
    }

    /// Checks lengths and numbers for a head with `classes` classes and features of dimension `dim`.
    ///
    /// # Errors
    /// Those of [`Head::check`]; [`Error::Length`] and [`Error::Parameter`].
    pub fn check(&self, head: &Head, classes: usize, dim: usize) -> Result<()> {
        head.check(classes, dim)?;
        if self.top > classes {
            return Err(Error::Parameter {
                name: "the number of classes to name",
                value: self.top as f64,
                expected: "at most K",
            });
        }
        if let Some(adjustment) = &self.adjustment {
            vector("the adjustment", adjustment, classes)?;
        }
        let Some(Effect { direction, alpha }) = &self.effect else { return Ok(()) };
        vector("the effect's direction", direction, dim)?;
        match *alpha >= 0.0 && *alpha <= f64::from(f32::MAX) {
            true => Ok(()),
            false => Err(Error::Parameter {
                name: "the effect's alpha",
                value: *alpha,
                expected: "finite in f32 and at least 0",
            }),
        }
    }
}

fn vector(name: &'static str, values: &[f64], expected: usize) -> Result<()> {
    if values.len() != expected {
        let (expected, found) = (expected as u64, values.len() as u64);
        return Err(Error::Length { what: name, expected, found });
    }
    match values.iter().find(|value| value.is_nan() || value.abs() > f64::from(f32::MAX)) {
        None => Ok(()),
        Some(&value) => Err(Error::Parameter { name, value, expected: "finite in f32" }),
    }
}
