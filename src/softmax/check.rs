//! Whether a spec has a meaning for a number of classes and a kind of targets.

use super::{GateSource, SoftmaxLoss};
use crate::batch::{TargetKind, length};
use crate::check::{bias, check_classes, column, combination, number};
use crate::{Reduction, Result};

impl SoftmaxLoss {
    /// Checks every number and column, and that the terms go together, for `classes` classes and targets of
    /// `kind`. Every plan and every reference run begins with it.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for values out of range,
    /// [`Error::Length`](crate::Error::Length) for columns that are not `[K]`,
    /// [`Error::Combination`](crate::Error::Combination) for terms without a joint meaning.
    pub fn check(&self, classes: usize, kind: TargetKind) -> Result<()> {
        check_classes(classes)?;
        self.check_numbers()?;
        self.check_columns(classes)?;
        self.check_combinations(kind)
    }

    fn check_numbers(&self) -> Result<()> {
        let positive = "finite in f32 and above 0";
        let not_negative = "finite in f32 and at least 0";
        number("scale", self.scale, self.scale > 0.0, positive)?;
        number("z_loss", self.z_loss, self.z_loss >= 0.0, not_negative)?;
        number(
            "label_smoothing",
            self.label_smoothing,
            (0.0..=1.0).contains(&self.label_smoothing),
            "in [0, 1]",
        )?;
        if let Some(focal) = &self.focal {
            number("focal gamma", focal.gamma, focal.gamma >= 0.0, not_negative)?;
        }
        if let Some(influence) = &self.influence {
            number("influence alpha", influence.alpha, influence.alpha > 0.0, positive)?;
            number("influence eps", influence.eps, influence.eps > 0.0, positive)?;
        }
        if let Some(seesaw) = &self.seesaw {
            number("seesaw p", seesaw.p, (0.0..=1.9).contains(&seesaw.p), "in [0, 1.9]")?;
            number("seesaw q", seesaw.q, seesaw.q >= 0.0, not_negative)?;
            number("seesaw eps", seesaw.eps, (0.0..1.0).contains(&seesaw.eps), "in [0, 1)")?;
        }
        if let Some(gate) = &self.gate {
            let probability = gate.drop_probability;
            number("drop_probability", probability, (0.0..=1.0).contains(&probability), "in [0, 1]")?;
        }
        self.reduction.check()
    }

    fn check_columns(&self, classes: usize) -> Result<()> {
        let finite = "finite in f32";
        let not_negative = "finite in f32 and at least 0";
        column("class_scale", &self.class_scale, classes, finite, |_| true)?;
        column("margin", &self.margin, classes, finite, |_| true)?;
        column("class_weights", &self.class_weights, classes, not_negative, |value| value >= 0.0)?;
        column("class_smoothing", &self.class_smoothing, classes, "in [0, 1]", |value| {
            (0.0..=1.0).contains(&value)
        })?;
        if let Some(values) = &self.bias {
            bias("bias", values, classes)?;
        }
        if let Some(seesaw) = &self.seesaw {
            length("seesaw counts", seesaw.counts.len(), classes)?;
        }
        match &self.gate {
            Some(gate) if gate.source != GateSource::Given => {
                length("the gate's tail", gate.tail.len(), classes)
            }
            _ => Ok(()),
        }
    }

    fn check_combinations(&self, kind: TargetKind) -> Result<()> {
        if kind == TargetKind::MultiHot {
            return combination(
                "multi-hot targets",
                "a softmax",
                "use SigmoidLoss, or soft targets for a distribution over the classes",
            );
        }
        if matches!(self.reduction, Reduction::Elements | Reduction::Positives) {
            return combination(
                "a mean over elements or positives",
                "a softmax",
                "its units are rows: use the mean over rows",
            );
        }
        let smoothed = self.label_smoothing > 0.0 || self.class_smoothing.is_some();
        if self.class_smoothing.is_some() && self.label_smoothing > 0.0 {
            return combination("class_smoothing", "label_smoothing", "set one of them");
        }
        if self.gate.is_some() && smoothed {
            return combination(
                "gates",
                "label smoothing",
                "a gated class has probability 0, whose log is -inf: drop one",
            );
        }
        if kind == TargetKind::Mixed && self.seesaw.is_some() {
            return combination(
                "seesaw",
                "two-label targets",
                "its factors depend on the one label: add two runs with hard labels, row weights lambda and 1 - lambda",
            );
        }
        if kind == TargetKind::Soft {
            let needs_label = "soft targets";
            let cure = "this term needs the row's one label: use hard labels";
            match self {
                Self { margin: Some(_), .. } => return combination("margin", needs_label, cure),
                Self { gate: Some(_), .. } => return combination("gates", needs_label, cure),
                Self { seesaw: Some(_), .. } => return combination("seesaw", needs_label, cure),
                Self { focal: Some(_), .. } => return combination("focal", needs_label, cure),
                Self { influence: Some(_), .. } => return combination("influence", needs_label, cure),
                Self { class_smoothing: Some(_), .. } => {
                    return combination("class_smoothing", needs_label, cure);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
