//! What a plan is asked for.

use super::choice::RowChoice;
use super::counts::DeviceCounts;
use super::plan::Computed;
use super::shader::Storage;
use super::sigmoid::DeviceGradientSums;
use crate::batch::TargetKind;
use crate::element::Element;
use std::ops::Range;

/// The part of the classes that a plan works on, where several devices or machines share them.
///
/// Every shard plans the same spec with the same rows and K, each with its own range of classes; its logits and
/// gradient are `[N, classes.len()]`, its labels those of all K classes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shard {
    /// The shard's number, below `shards`.
    pub index: usize,
    /// How many shards there are.
    pub shards: usize,
    /// The shard's classes. The ranges of all shards make `0..K`, in any order; a range may be empty.
    pub classes: Range<usize>,
}

/// Which passes a plan records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Loss and gradient together. The default.
    #[default]
    LossAndGrad,
    /// A forward pass that saves O(N) numbers, and a backward pass with an upstream gradient.
    ForwardBackward,
}

/// The shape and the manner of a plan; made by [`new`](Self::new), changed by `with_` methods.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlanRequest {
    /// N. 0 is legal: loss 0.
    pub rows: usize,
    /// K, at least 1.
    pub classes: usize,
    /// The kind of targets. Default hard labels.
    pub targets: TargetKind,
    /// Which passes. Default loss and gradient together.
    pub mode: Mode,
    /// Where the gradient goes. Default a buffer of its own.
    pub storage: Storage,
    /// The element type of the logits. Default f32.
    pub logits: Element,
    /// The element type of the gradient, in place the logits'. Default f32.
    pub gradient: Element,
    /// The element type of a teacher's logits. Default that of the logits, as a teacher most often is of the student's kind.
    pub teacher: Option<Element>,
    /// Elements between the starts of two rows of logits. Default K.
    pub logits_stride: usize,
    /// Elements between the starts of two rows of the gradient, in place the logits'. Default K.
    pub gradient_stride: usize,
    /// Whether rows have weights. Default no.
    pub row_weights: bool,
    /// Whether the class of the largest logit is found. Default no.
    pub argmax: bool,
    /// Whether the gradient of the class scales is wanted (learnable logit scaling). Default no.
    pub class_scale_gradient: bool,
    /// The row number of the first row, for gates drawn over a batch that is split. Default 0.
    pub first_row: u32,
    /// The row kernel. Default by shape and adapter.
    pub choice: Option<RowChoice>,
    /// Cumulative counts to share. Default the plan's own, from the spec's.
    pub counts: Option<DeviceCounts>,
    /// Accumulated gradients to share. Default the plan's own, from the spec's.
    pub gradient_sums: Option<DeviceGradientSums>,
    /// Rows of each block that logits, gradient, soft targets and gates come in. Empty, the default: one block.
    pub row_blocks: Vec<usize>,
    /// The part of the classes that this plan works on. Default all of them.
    pub shard: Option<Shard>,
    /// The logits, where kernels compute them instead of reading them from a matrix.
    pub(crate) computed: Option<Computed>,
    /// Whether the blocks of logits follow each other in one scratch buffer, while dense targets and gates are whole.
    pub(crate) scratch: bool,
    /// Whether the gradient is added to what its buffer holds, instead of taking its place. Default no.
    pub added_gradient: bool,
    /// Columns of a row before the plan's own: for plans over a part of the columns of another plan.
    pub(crate) first_column: usize,
    /// Rows of a window, at most, for plans that share their windows; 0: as many as fit.
    pub(crate) most_rows: u64,
}

impl PlanRequest {
    /// Loss and gradient of `[rows, classes]` logits with hard labels.
    pub fn new(rows: usize, classes: usize) -> Self {
        Self {
            rows,
            classes,
            targets: TargetKind::Hard,
            mode: Mode::LossAndGrad,
            storage: Storage::Separate,
            logits: Element::F32,
            gradient: Element::F32,
            teacher: None,
            logits_stride: classes,
            gradient_stride: classes,
            row_weights: false,
            argmax: false,
            class_scale_gradient: false,
            first_row: 0,
            choice: None,
            counts: None,
            gradient_sums: None,
            row_blocks: Vec::new(),
            shard: None,
            computed: None,
            scratch: false,
            added_gradient: false,
            first_column: 0,
            most_rows: 0,
        }
    }

    /// The classes that the plan's matrices have: K, or those of its shard.
    pub fn own_classes(&self) -> Range<usize> {
        self.shard.as_ref().map_or(0..self.classes, |shard| shard.classes.clone())
    }

    /// Sets the kind of targets.
    #[must_use]
    pub fn with_targets(mut self, targets: TargetKind) -> Self {
        self.targets = targets;
        self
    }

    /// Sets which passes are recorded.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets where the gradient goes.
    #[must_use]
    pub fn with_storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Sets the element types of logits and gradient; in place they are the same.
    #[must_use]
    pub fn with_elements(mut self, logits: Element, gradient: Element) -> Self {
        self.logits = logits;
        self.gradient = gradient;
        self
    }

    /// Sets the element type of a teacher's logits (distillation).
    #[must_use]
    pub fn with_teacher(mut self, teacher: Element) -> Self {
        self.teacher = Some(teacher);
        self
    }

    /// The element type of a teacher's logits: what was set, else that of the logits.
    pub fn teacher_element(&self) -> Element {
        self.teacher.unwrap_or(self.logits)
    }

    /// Sets the distance between rows, in elements, at least K.
    #[must_use]
    pub fn with_strides(mut self, logits: usize, gradient: usize) -> Self {
        self.logits_stride = logits;
        self.gradient_stride = gradient;
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

    /// Asks for the gradient of the class scales: one more read of the logits, and in
    /// [`Mode::LossAndGrad`] a forward and a backward pass instead of one.
    #[must_use]
    pub fn with_class_scale_gradient(mut self) -> Self {
        self.class_scale_gradient = true;
        self
    }

    /// Sets the number of the first row.
    #[must_use]
    pub fn with_first_row(mut self, first_row: u32) -> Self {
        self.first_row = first_row;
        self
    }

    /// Forces the row kernel, for tests and measurements.
    #[must_use]
    pub fn with_choice(mut self, choice: RowChoice) -> Self {
        self.choice = Some(choice);
        self
    }

    /// Takes logits, gradient, soft targets and gates in blocks of so many rows, each in a view of its own: for
    /// matrices that are larger than a buffer. They add up to N.
    #[must_use]
    pub fn with_row_blocks(mut self, rows: impl Into<Vec<usize>>) -> Self {
        self.row_blocks = rows.into();
        self
    }

    /// Works on one shard of the classes; strides are set to its width.
    #[must_use]
    pub fn with_shard(mut self, shard: Shard) -> Self {
        self.logits_stride = shard.classes.len();
        self.gradient_stride = shard.classes.len();
        self.shard = Some(shard);
        self
    }

    /// Adds the gradient to what its buffer holds: `gradient += d loss / d logits`, so that a loss of several parts is
    /// a pass for each of them into one gradient, the first without this. For
    /// [`DistillationLoss`](crate::DistillationLoss), for [`LadeLoss`](crate::LadeLoss) without a cross-entropy, and for
    /// [`RangeLoss`](crate::RangeLoss); not in place. A 16-bit gradient is rounded once more.
    #[must_use]
    pub fn with_added_gradient(mut self) -> Self {
        self.added_gradient = true;
        self
    }

    /// Shares accumulated gradients with other plans.
    #[must_use]
    pub fn with_gradient_sums(mut self, sums: DeviceGradientSums) -> Self {
        self.gradient_sums = Some(sums);
        self
    }

    /// Shares cumulative counts with other plans.
    #[must_use]
    pub fn with_counts(mut self, counts: DeviceCounts) -> Self {
        self.counts = Some(counts);
        self
    }
}
