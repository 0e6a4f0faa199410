//! A base that goes along in the divergence's passes: a softmax loss whose row needs no look of its own.

use crate::batch::TargetKind;
use crate::distillation::DistillationLoss;
use crate::gpu::plan::Core;
use crate::gpu::shader::InnerTerms;
use crate::gpu::softmax::{ClassColumns, SoftmaxNumbers, inner_terms};
use crate::softmax::SoftmaxLoss;
use crate::{Error, Result};
use std::ops::Range;

/// Whether a base's class needs no more than its own logit, bias, scale and weight: all but seesaw, gates and soft
/// targets.
pub(crate) fn goes_along(base: &SoftmaxLoss, targets: TargetKind) -> bool {
    base.seesaw.is_none() && base.gate.is_none() && targets != TargetKind::Soft
}

/// The base of a plan.
#[derive(Debug)]
pub(super) struct Base {
    pub terms: InnerTerms,
    pub columns: ClassColumns,
    /// Whether its loss wants the features' norms.
    pub influence: bool,
}

impl Base {
    pub(super) fn new(base: &SoftmaxLoss, targets: TargetKind) -> Self {
        let terms = inner_terms(base, targets);
        let columns = ClassColumns::new(base, &terms);
        Self { terms, columns, influence: base.influence.is_some() }
    }

    /// Takes the base of another spec. Columns that only labels look at may come along.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for other terms in the inner loops.
    pub(super) fn update<'a>(
        &mut self,
        spec: &'a DistillationLoss,
        targets: TargetKind,
    ) -> Result<&'a SoftmaxLoss> {
        let of_same_terms =
            |base: &&SoftmaxLoss| goes_along(base, targets) && inner_terms(base, targets) == self.terms;
        let Some(base) = spec.base.as_ref().filter(of_same_terms) else {
            return Err(Error::Unexpected {
                what: "a spec with another kind of base",
                planned: "for the terms of its first spec's base (class scale, bias, seesaw, gates, smoothing)",
            });
        };
        self.columns = self.columns.clone().with(&ClassColumns::new(base, &self.terms));
        self.influence = base.influence.is_some();
        Ok(base)
    }

    /// The numbers that the softmax family's kernels read.
    pub(super) fn numbers(&self, base: &SoftmaxLoss, core: &Core) -> SoftmaxNumbers {
        SoftmaxNumbers::new(base, core.extent.rows, &self.columns, core.request.row_weights)
    }

    /// Its columns of the class table.
    pub(super) fn table(&self, base: &SoftmaxLoss, classes: Range<usize>) -> Vec<f32> {
        self.columns.table(base, classes)
    }
}
