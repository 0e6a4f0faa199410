//! A base that goes along in the divergence's passes: a softmax loss.

use crate::batch::TargetKind;
use crate::distillation::DistillationLoss;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Core, Extent};
use crate::gpu::request::PlanRequest;
use crate::gpu::shader::InnerTerms;
use crate::gpu::softmax::{ClassColumns, Counting, SoftmaxNumbers, inner_terms, terms_to_go_on_with};
use crate::softmax::SoftmaxLoss;
use crate::{Error, Result};
use std::ops::Range;

/// The base of a plan.
#[derive(Debug)]
pub(super) struct Base {
    pub terms: InnerTerms,
    pub columns: ClassColumns,
    /// Whether its loss wants the features' norms.
    pub influence: bool,
    /// Seesaw's counts.
    pub counting: Option<Counting>,
}

impl Base {
    /// # Errors
    /// Those of [`Counting::new`].
    pub(super) fn new(
        kernels: &Kernels,
        base: &SoftmaxLoss,
        request: &PlanRequest,
        extent: &Extent,
    ) -> Result<Self> {
        let terms = inner_terms(base, request.targets);
        // Class weights may come later.
        let terms = InnerTerms { class_weights: terms.dense, ..terms };
        Ok(Self {
            terms,
            columns: ClassColumns::new(base, &terms),
            influence: base.influence.is_some(),
            counting: Counting::new(kernels, base, terms, request.targets, extent, request.counts.as_ref())?,
        })
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
        let counts = self.counting.is_some();
        let of_same_terms = |base: &&SoftmaxLoss| {
            base.seesaw.is_some() == counts && terms_to_go_on_with(&self.terms, base, targets).is_some()
        };
        let Some(base) = spec.base.as_ref().filter(of_same_terms) else {
            return Err(Error::Unexpected {
                what: "a spec with another kind of base",
                planned: "for the terms of its first spec's base (class scale, bias, seesaw, gates, smoothing)",
            });
        };
        self.columns = self.columns.clone().with(&ClassColumns::new(base, &self.terms));
        self.influence = base.influence.is_some();
        if let Some(counting) = &mut self.counting {
            counting.update(base);
        }
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
