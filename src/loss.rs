//! A loss of any family: what plans and sessions take.

use crate::batch::{Batch, TargetKind, Targets};
use crate::check::{check_classes, combination};
use crate::softmax::GateSource;
use crate::{
    DistillationLoss, Error, GroupedLoss, LadeLoss, ObjectnessLoss, RangeLoss, Result, SigmoidLoss,
    SoftmaxLoss,
};
use std::borrow::Cow;

/// A loss of one of the families that run on the device, borrowed or owned.
///
/// Everything that takes one takes a reference to a spec (`&SoftmaxLoss`) as well.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Loss<'a> {
    /// The softmax family.
    Softmax(Cow<'a, SoftmaxLoss>),
    /// The sigmoid family.
    Sigmoid(Cow<'a, SigmoidLoss>),
    /// The grouped family.
    Grouped(Cow<'a, GroupedLoss>),
    /// Distillation; the teacher's logits come with the batch.
    Distillation(Cow<'a, DistillationLoss>),
    /// LADE.
    Lade(Cow<'a, LadeLoss>),
    /// Classes and objectness.
    Objectness(Cow<'a, ObjectnessLoss>),
    /// Range loss, of features in the logits' place.
    Range(Cow<'a, RangeLoss>),
}

/// From a spec, borrowed or owned, to the variant of its family.
macro_rules! of_spec {
    ($($variant:ident($spec:ty)),*) => {
        $(
            impl<'a> From<&'a $spec> for Loss<'a> {
                fn from(loss: &'a $spec) -> Self {
                    Self::$variant(Cow::Borrowed(loss))
                }
            }

            impl From<$spec> for Loss<'_> {
                fn from(loss: $spec) -> Self {
                    Self::$variant(Cow::Owned(loss))
                }
            }
        )*

        impl<'a> From<&'a Loss<'_>> for Loss<'a> {
            fn from(loss: &'a Loss<'_>) -> Self {
                match loss {
                    $(Loss::$variant(loss) => Self::$variant(Cow::Borrowed(loss)),)*
                }
            }
        }

        impl Loss<'_> {
            /// The same loss, owned.
            pub fn into_owned(self) -> Loss<'static> {
                match self {
                    $(Self::$variant(loss) => Loss::$variant(Cow::Owned(loss.into_owned())),)*
                }
            }
        }
    };
}

of_spec!(
    Softmax(SoftmaxLoss),
    Sigmoid(SigmoidLoss),
    Grouped(GroupedLoss),
    Distillation(DistillationLoss),
    Lade(LadeLoss),
    Objectness(ObjectnessLoss),
    Range(RangeLoss)
);

impl Loss<'_> {
    /// The part of the softmax family, where there is one.
    fn softmax(&self) -> Option<&SoftmaxLoss> {
        match self {
            Self::Softmax(loss) => Some(loss),
            Self::Distillation(loss) => loss.base.as_ref(),
            Self::Lade(loss) => loss.cross_entropy.as_ref(),
            Self::Objectness(loss) => Some(&loss.classes),
            Self::Sigmoid(_) | Self::Grouped(_) | Self::Range(_) => None,
        }
    }

    /// The generator's step that the loss starts at; 0 without draws.
    pub(crate) fn step(&self) -> u64 {
        if let Self::Sigmoid(loss) = self {
            let gate = loss.gate.as_ref().map(|gate| gate.step);
            return gate.or(loss.suppression.as_ref().map(|term| term.step)).unwrap_or(0);
        }
        if let Self::Grouped(loss) = self {
            let of_tree = loss.tree.map(|tree| tree.step);
            return of_tree.or(loss.sampling.map(|sampling| sampling.step)).unwrap_or(0);
        }
        self.softmax().and_then(|loss| loss.gate.as_ref()).map_or(0, |gate| gate.step)
    }

    /// Whether rows have a log-sum-exp and a target's probability.
    pub(crate) fn has_statistics(&self) -> bool {
        !matches!(self, Self::Sigmoid(_))
    }

    /// Whether a batch brings gates, or weights of elements.
    pub(crate) fn takes_gates(&self) -> bool {
        match self {
            Self::Sigmoid(loss) => return loss.givens() > 0,
            Self::Grouped(loss) => return loss.given(),
            _ => {}
        }
        let gate = self.softmax().and_then(|loss| loss.gate.as_ref());
        gate.is_some_and(|gate| gate.source == GateSource::Given)
    }

    /// Columns of those gates, for logits of `classes` columns.
    pub(crate) fn gate_columns(&self, classes: usize) -> usize {
        match self {
            Self::Grouped(loss) => loss.segments.len(),
            _ => classes,
        }
    }

    /// Whether a batch brings the features' norms.
    pub(crate) fn takes_feature_norms(&self) -> bool {
        self.softmax().is_some_and(|loss| loss.influence.is_some())
    }

    /// Whether there is a gradient of class scales.
    pub(crate) fn has_class_scale(&self) -> bool {
        match self {
            Self::Softmax(loss) => loss.class_scale.is_some(),
            _ => false,
        }
    }

    /// How many columns a teacher's logits have, where there is one.
    pub(crate) fn teacher_columns(&self, classes: usize) -> Option<usize> {
        match self {
            Self::Distillation(loss) => Some(loss.teacher_columns(classes)),
            _ => None,
        }
    }

    /// Checks every number, and that the terms go together, for `classes` columns and targets of `kind`.
    ///
    /// # Errors
    /// What the spec's own check reports.
    pub fn check(&self, classes: usize, kind: TargetKind) -> Result<()> {
        check_classes(classes)?;
        match self {
            Self::Softmax(loss) => loss.check(classes, kind),
            Self::Sigmoid(loss) => loss.check(classes, kind),
            Self::Grouped(loss) => loss.check(classes, kind),
            Self::Distillation(loss) => {
                loss.check(classes)?;
                match &loss.base {
                    Some(base) => base.check(classes, kind),
                    None => check_labels(kind, "distillation without a base"),
                }
            }
            Self::Lade(loss) => {
                loss.check(classes)?;
                check_labels(kind, "LADE")
            }
            Self::Objectness(loss) => {
                loss.check(classes)?;
                if self.takes_gates() {
                    let cure = "draw the gates, or plan the classes' loss alone";
                    return combination("given gates", "objectness", cure);
                }
                check_labels(kind, "objectness")
            }
            Self::Range(loss) => {
                loss.check()?;
                check_labels(kind, "range loss")
            }
        }
    }

    /// Checks lengths and host-visible values of a batch against the loss.
    ///
    /// # Errors
    /// What the spec's own check of a batch reports.
    pub fn check_batch<T>(&self, batch: &Batch<'_, T>) -> Result<()> {
        let unexpected = match (self, batch.teacher) {
            (Self::Distillation(_), _) | (_, None) => Ok(()),
            _ => Err(Error::Unexpected { what: "teacher logits", planned: "for a loss without a teacher" }),
        };
        unexpected?;
        match self {
            Self::Softmax(loss) => batch.check(loss),
            Self::Sigmoid(loss) => loss.check_batch(batch),
            Self::Grouped(loss) => loss.check_batch(batch),
            Self::Distillation(loss) => match batch.teacher {
                Some(teacher) => loss.check_batch(batch, teacher),
                None => Err(Error::Missing { what: "teacher logits", needed_by: "distillation" }),
            },
            Self::Lade(loss) => loss.check_batch(batch),
            Self::Objectness(loss) => loss.check_batch(batch),
            Self::Range(loss) => {
                let Targets::Hard(labels) = batch.targets else {
                    return check_labels(batch.targets.kind(), "range loss");
                };
                let given = [
                    ("row weights", batch.row_weights.is_some()),
                    ("feature norms", batch.feature_norms.is_some()),
                    ("gates", batch.gates.is_some()),
                ];
                if let Some((what, _)) = given.into_iter().find(|(_, given)| *given) {
                    let planned = "for a loss of the whole batch, which has no use for them";
                    return Err(Error::Unexpected { what, planned });
                }
                loss.check_batch(batch.logits, batch.classes, labels)
            }
        }
    }
}

/// Losses that count rows by one label.
fn check_labels(kind: TargetKind, what: &'static str) -> Result<()> {
    match kind {
        TargetKind::Hard => Ok(()),
        _ => combination("other targets than one label", what, "give labels"),
    }
}
