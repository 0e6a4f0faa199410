//! What is asked of a head with its loss, and what the step reads.

use super::fold;
use super::request::HeadRequest;
use super::views::HeadViews;
use crate::batch::TargetKind;
use crate::gpu::choice::RowChoice;
use crate::gpu::counts::DeviceCounts;
use crate::gpu::kernels::Kernels;
use crate::gpu::request::Shard;
use crate::gpu::view::{MatrixView, TargetViews, View};
use crate::head::Head;
use crate::{Error, Result};

/// What a fused step is asked for: made by [`new`](Self::new), changed by `with_` methods or directly.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HeadLossRequest {
    /// Shapes, places of features and weights, and which gradients. Its chunk and ignored index are the step's to set.
    pub head: HeadRequest,
    /// The most bytes of the scratch buffer, which has the logits of some rows at a time; without a way back there is
    /// none. Default 64 MiB.
    pub scratch_bytes: u64,
    /// The kind of targets. Default hard labels.
    pub targets: TargetKind,
    /// Whether rows have weights. Default no.
    pub row_weights: bool,
    /// Whether the class of the largest logit is found. Default no.
    pub argmax: bool,
    /// The row number of the first row, for gates drawn over a batch that is split. Default 0.
    pub first_row: u32,
    /// The loss's row kernel; without a way back only the number of workgroups that share a row counts. Default by shape
    /// and adapter.
    pub choice: Option<RowChoice>,
    /// Cumulative counts to share. Default the plan's own, from the loss's.
    pub counts: Option<DeviceCounts>,
    /// The part of the classes that this plan works on: weights, biases, scales and their gradients are its own rows, and
    /// the features' gradient is its part, which is to be added up over the shards. Default all of them.
    pub shard: Option<Shard>,
}

impl HeadLossRequest {
    /// Loss and every gradient of `rows` features of dimension `dim` for `classes` classes, with hard labels.
    pub fn new(rows: usize, classes: usize, dim: usize) -> Self {
        Self {
            head: HeadRequest::new(rows, classes, dim),
            scratch_bytes: 64 << 20,
            targets: TargetKind::Hard,
            row_weights: false,
            argmax: false,
            first_row: 0,
            choice: None,
            counts: None,
            shard: None,
        }
    }

    /// Works on one shard of the classes, at least one class of the K that [`new`](Self::new) was given.
    #[must_use]
    pub fn with_shard(mut self, shard: Shard) -> Self {
        self.shard = Some(shard);
        self
    }

    /// The classes whose weights the plan has.
    pub(super) fn own_classes(&self) -> std::ops::Range<usize> {
        self.shard.as_ref().map_or(0..self.head.classes, |shard| shard.classes.clone())
    }

    /// Sets the most bytes of the scratch buffer.
    #[must_use]
    pub fn with_scratch_bytes(mut self, bytes: u64) -> Self {
        self.scratch_bytes = bytes;
        self
    }

    /// Sets the kind of targets.
    #[must_use]
    pub fn with_targets(mut self, targets: TargetKind) -> Self {
        self.targets = targets;
        self
    }

    /// Asks for row weights.
    #[must_use]
    pub fn with_row_weights(mut self) -> Self {
        self.row_weights = true;
        self
    }

    /// Asks for the class of the largest logit.
    #[must_use]
    pub fn with_argmax(mut self) -> Self {
        self.argmax = true;
        self
    }

    /// The loss alone, without a way back: no logit is stored, and no scratch buffer needed.
    #[must_use]
    pub fn forward_only(mut self) -> Self {
        self.head = self.head.forward_only();
        self
    }

    /// Shares cumulative counts with other plans.
    #[must_use]
    pub fn with_counts(mut self, counts: DeviceCounts) -> Self {
        self.counts = Some(counts);
        self
    }

    /// Rows of a chunk: those whose logits the scratch buffer has at a time, where there is one.
    pub(super) fn chunk(&self, kernels: &Kernels, head: &Head) -> Result<usize> {
        if !self.head.backward {
            return fold::chunk(kernels, head, &self.head);
        }
        let row = 4 * self.own_classes().len() as u64;
        let limits = kernels.device.limits();
        let most = self.scratch_bytes.min(kernels.max_binding()).min(limits.max_buffer_size);
        let rows = usize::try_from(most / row.max(1)).unwrap_or(usize::MAX).min(self.head.rows.max(1));
        match rows {
            0 => Err(Error::Limit {
                what: "the scratch for one row of logits (bytes)".into(),
                needed: row,
                allowed: most,
                cure: "give at least that much as scratch_bytes, on a device that binds it, or shard the classes",
            }),
            // Whole groups of rows.
            rows if rows > 8 && rows < self.head.rows => Ok(rows / 8 * 8),
            rows => Ok(rows),
        }
    }
}

/// What a fused step reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadLossViews<'a> {
    /// Features, weights and what else the head has. Labels come from the targets.
    pub head: HeadViews<'a>,
    /// The targets; soft ones `[N, K]` in one view.
    pub targets: TargetViews<'a>,
    /// Row weights `[N]`, f32, where the step has them.
    pub row_weights: Option<View<'a>>,
    /// The features' L1 norms `[N]`, f32, for influence balancing.
    pub feature_norms: Option<View<'a>>,
    /// Gates `[N, K]`, f32, contiguous, in one view, where the loss's gates are given.
    pub gates: Option<MatrixView<'a>>,
    /// At least [`HeadLossPlan::scratch_bytes`](super::HeadLossPlan::scratch_bytes) bytes that the step may overwrite;
    /// none for a plan without a way back.
    pub scratch: Option<View<'a>>,
}

impl<'a> HeadLossViews<'a> {
    /// Features, weights, targets and scratch, nothing else.
    pub fn new(head: HeadViews<'a>, targets: TargetViews<'a>, scratch: View<'a>) -> Self {
        Self { scratch: Some(scratch), ..Self::forward(head, targets) }
    }

    /// Features, weights and targets, nothing else: for a plan without a way back.
    pub fn forward(head: HeadViews<'a>, targets: TargetViews<'a>) -> Self {
        Self { head, targets, row_weights: None, feature_norms: None, gates: None, scratch: None }
    }
}
