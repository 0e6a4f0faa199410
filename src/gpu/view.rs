//! Views into the caller's buffers, and their checks.

use crate::{Error, Result};

/// A range of a buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View<'a> {
    /// The buffer.
    pub buffer: &'a wgpu::Buffer,
    /// Where the range starts, in bytes: a multiple of the device's storage-buffer offset alignment
    /// (`min_storage_buffer_offset_alignment`), or of 4 for outputs, which are copied to.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
}

impl<'a> View<'a> {
    /// The whole buffer.
    pub fn whole(buffer: &'a wgpu::Buffer) -> Self {
        Self { buffer, offset: 0, size: buffer.size() }
    }

    /// `size` bytes from `offset`.
    pub fn new(buffer: &'a wgpu::Buffer, offset: u64, size: u64) -> Self {
        Self { buffer, offset, size }
    }

    /// Checks size, bounds, alignment and usage.
    pub(crate) fn check(
        &self,
        what: &'static str,
        bytes: u64,
        alignment: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<()> {
        if self.size != bytes {
            return Err(Error::Length { what, expected: bytes, found: self.size });
        }
        if self.offset.checked_add(self.size).is_none_or(|end| end > self.buffer.size()) {
            return Err(Error::Length {
                what,
                expected: self.offset.saturating_add(self.size),
                found: self.buffer.size(),
            });
        }
        if !self.offset.is_multiple_of(alignment) {
            return Err(Error::Alignment { what, offset: self.offset, required: alignment });
        }
        if !self.buffer.usage().contains(usage) {
            let missing = if usage.contains(wgpu::BufferUsages::STORAGE) { "STORAGE" } else { "COPY_DST" };
            return Err(Error::BufferUsage { what, missing });
        }
        Ok(())
    }

    /// Whether two views share bytes.
    pub(crate) fn overlaps(&self, other: &View<'_>) -> bool {
        self.buffer == other.buffer
            && self.offset < other.offset.saturating_add(other.size)
            && other.offset < self.offset.saturating_add(self.size)
    }

    /// The same range as a binding; `None` for an empty one, which cannot be bound.
    pub(crate) fn binding(&self) -> Option<wgpu::BufferBinding<'a>> {
        let size = wgpu::BufferSize::new(self.size)?;
        Some(wgpu::BufferBinding { buffer: self.buffer, offset: self.offset, size: Some(size) })
    }
}

/// An N x K matrix on the device: one view, or one for each of the plan's row blocks.
///
/// A view has `bytes ((rows - 1) stride + K)` bytes, rounded up to a multiple of 4, `bytes` being 4 or 2 for one
/// element and `rows` those of the matrix or the block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MatrixView<'a> {
    /// All rows.
    Whole(View<'a>),
    /// A view for each block of [`PlanRequest::row_blocks`](super::PlanRequest::row_blocks), in order.
    Blocks(&'a [View<'a>]),
}

impl<'a> From<View<'a>> for MatrixView<'a> {
    fn from(view: View<'a>) -> Self {
        Self::Whole(view)
    }
}

impl<'a> MatrixView<'a> {
    /// The views, in order.
    pub(crate) fn views(&self) -> &[View<'a>] {
        match self {
            Self::Whole(view) => std::slice::from_ref(view),
            Self::Blocks(views) => views,
        }
    }

    /// Whether a view of this and one of another matrix share bytes.
    pub(crate) fn overlaps(&self, other: &MatrixView<'_>) -> bool {
        self.views().iter().any(|view| other.views().iter().any(|other| view.overlaps(other)))
    }

    /// Whether two blocks of this matrix share bytes.
    pub(crate) fn overlaps_itself(&self) -> bool {
        let views = self.views();
        views
            .iter()
            .enumerate()
            .any(|(index, view)| views.iter().skip(index + 1).any(|next| view.overlaps(next)))
    }

    /// Whether some view of each lie in one buffer.
    pub(crate) fn shares_buffer(&self, other: &MatrixView<'_>) -> bool {
        self.views().iter().any(|view| other.views().iter().any(|other| view.buffer == other.buffer))
    }
}

/// The targets of a batch on the device, in the layout of [`Targets`](crate::Targets).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum TargetViews<'a> {
    /// Labels `[N]`, i32.
    Hard(View<'a>),
    /// Two labels `[N]`, i32, and the first one's share `[N]`, f32.
    Mixed {
        /// The first label of each row.
        first: View<'a>,
        /// The second label of each row.
        second: View<'a>,
        /// The first label's share.
        lambda: View<'a>,
    },
    /// Soft targets `[N, K]`, f32, contiguous.
    Soft(MatrixView<'a>),
    /// Multi-hot targets `[N, K]`, f32, contiguous.
    MultiHot(MatrixView<'a>),
}

/// What a pass reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inputs<'a> {
    /// Logits `[N, K]`, of the plan's element type, rows `logits_stride` apart.
    pub logits: MatrixView<'a>,
    /// The targets.
    pub targets: TargetViews<'a>,
    /// Row weights `[N]`, f32, where the plan has them.
    pub row_weights: Option<View<'a>>,
    /// The features' L1 norms `[N]`, f32, for influence balancing.
    pub feature_norms: Option<View<'a>>,
    /// Gates `[N, K]`, f32, contiguous, where the spec's gates are given; for a grouped loss weights or gates of its
    /// segments, `[N, G]`.
    pub gates: Option<MatrixView<'a>>,
    /// The teacher's logits `[N, M]`, of the plan's [element type](super::PlanRequest::teacher) for them, contiguous, for
    /// distillation: M is K, or the experts' classes one expert after the other.
    pub teacher: Option<MatrixView<'a>>,
}

impl<'a> Inputs<'a> {
    /// Logits and targets, nothing else.
    pub fn new(logits: impl Into<MatrixView<'a>>, targets: TargetViews<'a>) -> Self {
        Self {
            logits: logits.into(),
            targets,
            row_weights: None,
            feature_norms: None,
            gates: None,
            teacher: None,
        }
    }

    /// With a teacher's logits.
    #[must_use]
    pub fn with_teacher(mut self, teacher: impl Into<MatrixView<'a>>) -> Self {
        self.teacher = Some(teacher.into());
        self
    }
}

/// What a pass writes besides the gradient; each absent one costs nothing. All are copied to, so their buffers
/// need the usage `COPY_DST`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outputs<'a> {
    /// The reduced loss, one f32.
    pub loss: Option<View<'a>>,
    /// The rows' losses before the reduction `[N]`, f32.
    pub row_loss: Option<View<'a>>,
    /// `logsumexp(u)` of each row `[N]`, f32; NaN for a grouped loss, whose segments have one each.
    pub log_sum_exp: Option<View<'a>>,
    /// The target's probability under `u` `[N]`, f32; the first label's for two, NaN for soft targets; for a grouped loss
    /// the product over the label's own segments.
    pub target_probability: Option<View<'a>>,
    /// The class (for a grouped loss the column) of the largest logit `[N]`, u32, the lowest such class on ties; needs a plan with argmax.
    pub argmax: Option<View<'a>>,
}
