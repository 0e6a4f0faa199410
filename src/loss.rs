//! A loss of any family: what plans and sessions take.

use crate::batch::{Batch, TargetKind};
use crate::softmax::GateSource;
use crate::{GroupedLoss, Result, SoftmaxLoss};
use std::borrow::Cow;

/// A loss of one of the families that run on the device, borrowed or owned.
///
/// Everything that takes one takes a reference to a spec (`&SoftmaxLoss`) as well.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Loss<'a> {
    /// The softmax family.
    Softmax(Cow<'a, SoftmaxLoss>),
    /// The grouped family.
    Grouped(Cow<'a, GroupedLoss>),
}

impl<'a> From<&'a SoftmaxLoss> for Loss<'a> {
    fn from(loss: &'a SoftmaxLoss) -> Self {
        Self::Softmax(Cow::Borrowed(loss))
    }
}

impl<'a> From<&'a GroupedLoss> for Loss<'a> {
    fn from(loss: &'a GroupedLoss) -> Self {
        Self::Grouped(Cow::Borrowed(loss))
    }
}

impl<'a> From<&'a Loss<'_>> for Loss<'a> {
    fn from(loss: &'a Loss<'_>) -> Self {
        match loss {
            Loss::Softmax(loss) => Self::Softmax(Cow::Borrowed(loss)),
            Loss::Grouped(loss) => Self::Grouped(Cow::Borrowed(loss)),
        }
    }
}

impl Loss<'_> {
    /// The same loss, owned.
    pub fn into_owned(self) -> Loss<'static> {
        match self {
            Self::Softmax(loss) => Loss::Softmax(Cow::Owned(loss.into_owned())),
            Self::Grouped(loss) => Loss::Grouped(Cow::Owned(loss.into_owned())),
        }
    }

    /// The generator's step that the loss starts at; 0 without draws.
    pub(crate) fn step(&self) -> u64 {
        match self {
            Self::Softmax(loss) => loss.gate.as_ref().map_or(0, |gate| gate.step),
            Self::Grouped(loss) => {
                let of_tree = loss.tree.map(|tree| tree.step);
                of_tree.or(loss.sampling.map(|sampling| sampling.step)).unwrap_or(0)
            }
        }
    }

    /// Whether a batch brings gates, or weights of elements.
    pub(crate) fn takes_gates(&self) -> bool {
        match self {
            Self::Softmax(loss) => loss.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given),
            Self::Grouped(loss) => loss.given(),
        }
    }

    /// Columns of those gates, for logits of `classes` columns.
    pub(crate) fn gate_columns(&self, classes: usize) -> usize {
        match self {
            Self::Softmax(_) => classes,
            Self::Grouped(loss) => loss.segments.len(),
        }
    }

    /// Whether a batch brings the features' norms.
    pub(crate) fn takes_feature_norms(&self) -> bool {
        match self {
            Self::Softmax(loss) => loss.influence.is_some(),
            Self::Grouped(_) => false,
        }
    }

    /// Whether there is a gradient of class scales.
    pub(crate) fn has_class_scale(&self) -> bool {
        match self {
            Self::Softmax(loss) => loss.class_scale.is_some(),
            Self::Grouped(_) => false,
        }
    }

    /// Checks every number, and that the terms go together, for `classes` columns and targets of `kind`.
    ///
    /// # Errors
    /// What the spec's own check reports.
    pub fn check(&self, classes: usize, kind: TargetKind) -> Result<()> {
        match self {
            Self::Softmax(loss) => loss.check(classes, kind),
            Self::Grouped(loss) => loss.check(classes, kind),
        }
    }

    /// Checks lengths and host-visible values of a batch against the loss.
    ///
    /// # Errors
    /// What the spec's own check of a batch reports.
    pub fn check_batch<T>(&self, batch: &Batch<'_, T>) -> Result<()> {
        match self {
            Self::Softmax(loss) => batch.check(loss),
            Self::Grouped(loss) => loss.check_batch(batch),
        }
    }
}
