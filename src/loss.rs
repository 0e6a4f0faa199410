//! A loss of any family: what plans and sessions take.

use crate::batch::{Batch, TargetKind};
use crate::softmax::GateSource;
use crate::{Result, SigmoidLoss, SoftmaxLoss};
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
}

impl<'a> From<&'a SoftmaxLoss> for Loss<'a> {
    fn from(loss: &'a SoftmaxLoss) -> Self {
        Self::Softmax(Cow::Borrowed(loss))
    }
}

impl From<SoftmaxLoss> for Loss<'_> {
    fn from(loss: SoftmaxLoss) -> Self {
        Self::Softmax(Cow::Owned(loss))
    }
}

impl<'a> From<&'a SigmoidLoss> for Loss<'a> {
    fn from(loss: &'a SigmoidLoss) -> Self {
        Self::Sigmoid(Cow::Borrowed(loss))
    }
}

impl From<SigmoidLoss> for Loss<'_> {
    fn from(loss: SigmoidLoss) -> Self {
        Self::Sigmoid(Cow::Owned(loss))
    }
}

impl<'a> From<&'a Loss<'_>> for Loss<'a> {
    fn from(loss: &'a Loss<'_>) -> Self {
        match loss {
            Loss::Softmax(loss) => Self::Softmax(Cow::Borrowed(loss)),
            Loss::Sigmoid(loss) => Self::Sigmoid(Cow::Borrowed(loss)),
        }
    }
}

impl Loss<'_> {
    /// The same loss, owned.
    pub fn into_owned(self) -> Loss<'static> {
        match self {
            Self::Softmax(loss) => Loss::Softmax(Cow::Owned(loss.into_owned())),
            Self::Sigmoid(loss) => Loss::Sigmoid(Cow::Owned(loss.into_owned())),
        }
    }

    /// The generator's step that the loss starts at; 0 without draws.
    pub(crate) fn step(&self) -> u64 {
        match self {
            Self::Softmax(loss) => loss.gate.as_ref().map_or(0, |gate| gate.step),
            Self::Sigmoid(loss) => {
                let gate = loss.gate.as_ref().map(|gate| gate.step);
                gate.or(loss.suppression.as_ref().map(|term| term.step)).unwrap_or(0)
            }
        }
    }

    /// Whether rows have a log-sum-exp and a target's probability.
    pub(crate) fn has_statistics(&self) -> bool {
        matches!(self, Self::Softmax(_))
    }

    /// Whether a batch brings gates, or weights of elements.
    pub(crate) fn takes_gates(&self) -> bool {
        match self {
            Self::Softmax(loss) => loss.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given),
            Self::Sigmoid(loss) => loss.givens() > 0,
        }
    }

    /// Whether a batch brings the features' norms.
    pub(crate) fn takes_feature_norms(&self) -> bool {
        match self {
            Self::Softmax(loss) => loss.influence.is_some(),
            Self::Sigmoid(_) => false,
        }
    }

    /// Whether there is a gradient of class scales.
    pub(crate) fn has_class_scale(&self) -> bool {
        match self {
            Self::Softmax(loss) => loss.class_scale.is_some(),
            Self::Sigmoid(_) => false,
        }
    }

    /// Checks every number, and that the terms go together, for `classes` columns and targets of `kind`.
    ///
    /// # Errors
    /// What the spec's own check reports.
    pub fn check(&self, classes: usize, kind: TargetKind) -> Result<()> {
        match self {
            Self::Softmax(loss) => loss.check(classes, kind),
            Self::Sigmoid(loss) => loss.check(classes, kind),
        }
    }

    /// Checks lengths and host-visible values of a batch against the loss.
    ///
    /// # Errors
    /// What the spec's own check of a batch reports.
    pub fn check_batch<T>(&self, batch: &Batch<'_, T>) -> Result<()> {
        match self {
            Self::Softmax(loss) => batch.check(loss),
            Self::Sigmoid(loss) => loss.check_batch(batch),
        }
    }
}
