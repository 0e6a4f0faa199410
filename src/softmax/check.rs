//! Whether a spec has a meaning for a number of classes and a kind of targets.

use super::{GateSource, SoftmaxLoss};
use crate::batch::TargetKind;
use crate::{Error, Result};

impl SoftmaxLoss {
    /// Checks every number and column, and that the terms go together, for `classes` classes and targets of
    /// `kind`. Every plan and every reference run begins with it.
    ///
    /// # Errors
    /// [`Error::Parameter`] for values out of range, [`Error::Length`] for columns that are not `[K]`,
    /// [`Error::Combination`] for terms without a joint meaning.
    pub fn check(&self, classes: usize, kind: TargetKind) -> Result<()> {
        if classes == 0 {
            return Err(Error::Parameter {
                name: "the number of classes",
                value: 0.0,
                expected: "at least 1",
            });
        }
        if i32::try_from(classes).is_err() {
            return Err(Error::Limit {
                what: "the number of classes".into(),
                needed: classes as u64,
                allowed: i32::MAX as u64,
                cure: "labels are 32-bit integers",
            });
        }
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
        if let Some(bias) = &self.bias {
            length("bias", bias.len(), classes)?;
            // -inf takes a class out.
            let bad = |value: &f64| value.is_nan() || *value > f64::from(f32::MAX);
            if let Some(&value) = bias.iter().find(|value| bad(value)) {
                return Err(Error::Parameter { name: "bias", value, expected: "a number below +inf in f32" });
            }
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
        let none = |first, second, cure| Err(Error::Combination { first, second, cure });
        let smoothed = self.label_smoothing > 0.0 || self.class_smoothing.is_some();
        if self.class_smoothing.is_some() && self.label_smoothing > 0.0 {
            return none("class_smoothing", "label_smoothing", "set one of them");
        }
        if self.gate.is_some() && smoothed {
            return none(
                "gates",
                "label smoothing",
                "a gated class has probability 0, whose log is -inf: drop one",
            );
        }
        if kind == TargetKind::Mixed && self.seesaw.is_some() {
            return none(
                "seesaw",
                "two-label targets",
                "its factors depend on the one label: add two runs with hard labels, row weights lambda and 1 - lambda",
            );
        }
        if kind == TargetKind::Soft {
            let needs_label = "soft targets";
            let cure = "this term needs the row's one label: use hard labels";
            match self {
                Self { margin: Some(_), .. } => return none("margin", needs_label, cure),
                Self { gate: Some(_), .. } => return none("gates", needs_label, cure),
                Self { seesaw: Some(_), .. } => return none("seesaw", needs_label, cure),
                Self { focal: Some(_), .. } => return none("focal", needs_label, cure),
                Self { influence: Some(_), .. } => return none("influence", needs_label, cure),
                Self { class_smoothing: Some(_), .. } => return none("class_smoothing", needs_label, cure),
                _ => {}
            }
        }
        Ok(())
    }
}

/// One number: `ok`, and finite once it is an f32.
fn number(name: &'static str, value: f64, ok: bool, expected: &'static str) -> Result<()> {
    match ok && value.abs() <= f64::from(f32::MAX) {
        true => Ok(()),
        false => Err(Error::Parameter { name, value, expected }),
    }
}

fn column(
    name: &'static str,
    column: &Option<Vec<f64>>,
    classes: usize,
    expected: &'static str,
    ok: impl Fn(f64) -> bool,
) -> Result<()> {
    let Some(values) = column else { return Ok(()) };
    length(name, values.len(), classes)?;
    values.iter().try_for_each(|&value| number(name, value, ok(value), expected))
}

fn length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Length { what, expected: expected as u64, found: found as u64 }),
    }
}
