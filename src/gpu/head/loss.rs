//! A head and the loss on its logits in one step, without N x K.

use super::plan::HeadPlan;
use super::request::HeadRequest;
use super::views::{HeadGradients, HeadViews};
use crate::batch::TargetKind;
use crate::gpu::choice::RowChoice;
use crate::gpu::counts::DeviceCounts;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Plan, Recorder, check_apart};
use crate::gpu::request::{Mode, PlanRequest, Shard};
use crate::gpu::shader::Storage;
use crate::gpu::softmax::Statistics;
use crate::gpu::view::{Inputs, MatrixView, Outputs, TargetViews, View};
use crate::head::{HeadLoss, TargetMargin};
use crate::{Error, Result};

/// What a fused step is asked for: made by [`new`](Self::new), changed by `with_` methods or directly.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HeadLossRequest {
    /// Shapes, places of features and weights, and which gradients. Its chunk and ignored index are the step's to set.
    pub head: HeadRequest,
    /// The most bytes of the scratch buffer, which has the logits of some rows at a time. Default 64 MiB.
    pub scratch_bytes: u64,
    /// The kind of targets. Default hard labels.
    pub targets: TargetKind,
    /// Whether rows have weights. Default no.
    pub row_weights: bool,
    /// Whether the class of the largest logit is found. Default no.
    pub argmax: bool,
    /// The row number of the first row, for gates drawn over a batch that is split. Default 0.
    pub first_row: u32,
    /// The loss's row kernel. Default by shape and adapter.
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
    fn own_classes(&self) -> std::ops::Range<usize> {
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

    /// The loss alone, without a way back.
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

    /// Rows whose logits the scratch buffer has at a time.
    fn chunk(&self, kernels: &Kernels) -> Result<usize> {
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
    /// At least [`HeadLossPlan::scratch_bytes`] bytes that the step may overwrite.
    pub scratch: View<'a>,
}

impl<'a> HeadLossViews<'a> {
    /// Features, weights, targets and scratch, nothing else.
    pub fn new(head: HeadViews<'a>, targets: TargetViews<'a>, scratch: View<'a>) -> Self {
        Self { head, targets, row_weights: None, feature_norms: None, gates: None, scratch }
    }
}

/// A head and a loss planned for a shape: features `[N, D]`, weights `[K, D]` and targets in; loss and the gradients of
/// features, weights, biases and learned scales out, in one compute pass.
///
/// Rows go through in chunks: their logits into the scratch buffer, the loss's gradient over them in place, and from there
/// into the gradients. The scratch buffer is all that has the size of logits; nothing of size N x K is stored. A loss whose
/// denominator depends on labels is exact, since labels come first for all rows. The same bits come out on every run.
///
/// ```text
/// norms of the weights, labels, counts, denominators
/// for each chunk:  logits -> scratch;  loss, in place: d loss / d logits -> scratch;  into the gradients
/// weights' gradient through their normalisation; the reduced loss
/// ```
#[derive(Debug)]
pub struct HeadLossPlan {
    head: HeadPlan,
    loss: Plan,
}

impl Kernels {
    /// Plans a head and its loss: checks everything, compiles, allocates.
    ///
    /// # Errors
    /// Those of [`HeadLoss::check`], [`head`](Self::head) and [`plan`](Self::plan); [`Error::Limit`] for a scratch buffer
    /// of less than one row.
    pub fn head_loss(&self, spec: &HeadLoss, request: &HeadLossRequest) -> Result<HeadLossPlan> {
        let HeadRequest { rows, classes, dim, .. } = request.head;
        spec.check(classes, dim, request.targets)?;
        let chunk = request.chunk(self)?;
        let own = request.own_classes();
        let mut of_head = request.head.with_chunk(chunk).with_first_class(own.start);
        of_head.classes = own.len();
        of_head.ignore_index = spec.loss.ignore_index;
        let head = self.head(&spec.head, &of_head)?;
        let mut of_loss = PlanRequest::new(rows, classes)
            .with_targets(request.targets)
            .with_storage(Storage::InPlace)
            .with_first_row(request.first_row)
            .with_mode(match request.head.backward {
                true => Mode::LossAndGrad,
                // A forward pass leaves the logits alone.
                false => Mode::ForwardBackward,
            })
            .with_row_blocks(head.chunks().map(|rows| rows.len()).collect::<Vec<_>>());
        of_loss.row_weights = request.row_weights;
        of_loss.argmax = request.argmax;
        of_loss.choice = request.choice;
        of_loss.counts = request.counts.clone();
        if let Some(shard) = &request.shard {
            of_loss = of_loss.with_shard(shard.clone());
        }
        of_loss.scratch = true;
        let loss = self.plan(&spec.loss, &of_loss)?;
        Ok(HeadLossPlan { head, loss })
    }
}

impl HeadLossPlan {
    /// Records loss and gradients.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for a plan without a way back or views it has no use for; [`Error::Missing`],
    /// [`Error::Length`], [`Error::Alignment`], [`Error::Overlap`], [`Error::BufferUsage`], [`Error::Limit`] for views;
    /// [`Error::Device`], [`Error::DeviceLost`] for buffers of another or a lost device.
    pub fn encode_loss_and_grad(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        views: &HeadLossViews<'_>,
        gradients: &HeadGradients<'_>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.loss.expect_mode(Mode::LossAndGrad)?;
        self.encode(encoder, views, Some(gradients), outputs)
    }

    /// Records the loss of a plan without a way back.
    ///
    /// # Errors
    /// As [`encode_loss_and_grad`](Self::encode_loss_and_grad).
    pub fn encode_forward(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        views: &HeadLossViews<'_>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.loss.expect_mode(Mode::ForwardBackward)?;
        self.encode(encoder, views, None, outputs)
    }

    fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        views: &HeadLossViews<'_>,
        gradients: Option<&HeadGradients<'_>>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.loss.expect_whole()?;
        let head_views = self.head_views(views)?;
        let scratch = self.scratch(views.scratch)?;
        let chunks = self.chunk_views(scratch);
        let bound = self.loss.check_inputs(&inputs(views, &chunks))?;
        self.loss.check_outputs(outputs)?;
        self.loss.check_scratch(&bound, scratch)?;
        check_apart(&bound, outputs)?;
        self.loss.core.kernels.scoped("a head and its loss", || {
            {
                let passes = self.loss.passes.as_ref();
                let mut recorder = self.loss.record(encoder, &bound, "longtail head and loss");
                passes.prepare(&mut recorder);
                self.over_chunks(&mut recorder, &head_views, &chunks, gradients, &|recorder| {
                    passes.rows(recorder);
                    if gradients.is_some() {
                        passes.backward(recorder);
                    }
                })?;
                passes.finish(&mut recorder);
            }
            self.loss.copy_outputs(encoder, outputs);
            Ok(())
        })
    }

    /// What this plan exchanges with the other shards; `None` for a plan that is no shard. See [`Plan::statistics`].
    pub fn statistics(&self) -> Option<Statistics> {
        self.loss.statistics()
    }

    /// Records what this shard knows of its rows, in its slot of region `round` of `statistics`: logits are computed
    /// chunk by chunk. See [`Plan::encode_partial`].
    ///
    /// # Errors
    /// As [`encode_loss_and_grad`](Self::encode_loss_and_grad) and [`Plan::encode_partial`].
    pub fn encode_partial(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        views: &HeadLossViews<'_>,
        round: usize,
        statistics: View<'_>,
    ) -> Result<()> {
        let head_views = self.head_views(views)?;
        let scratch = self.scratch(views.scratch)?;
        let chunks = self.chunk_views(scratch);
        let inputs = inputs(views, &chunks);
        self.loss.check_scratch(&self.loss.check_inputs(&inputs)?, scratch)?;
        self.loss.encode_partial_over(encoder, &inputs, round, statistics, |recorder, rows| {
            self.over_chunks(recorder, &head_views, &chunks, None, rows)
        })
    }

    /// Records loss and gradients of a shard from the statistics of all shards: the loss is that of all classes. Logits
    /// are computed once more. See [`Plan::encode_shard_loss_and_grad`].
    ///
    /// # Errors
    /// As [`encode_loss_and_grad`](Self::encode_loss_and_grad) and [`Plan::encode_partial`].
    pub fn encode_shard_loss_and_grad(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        views: &HeadLossViews<'_>,
        statistics: View<'_>,
        gradients: &HeadGradients<'_>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.loss.expect_mode(Mode::LossAndGrad)?;
        let head_views = self.head_views(views)?;
        let scratch = self.scratch(views.scratch)?;
        let chunks = self.chunk_views(scratch);
        let inputs = inputs(views, &chunks);
        let (shard, bound) = self.loss.bind_shard(&inputs, statistics)?;
        self.loss.check_outputs(outputs)?;
        self.loss.check_scratch(&bound, scratch)?;
        check_apart(&bound, outputs)?;
        self.loss.core.kernels.scoped("a shard's head and loss", || {
            {
                let passes = self.loss.passes.as_ref();
                let mut recorder = self.loss.record(encoder, &bound, "longtail head and loss");
                shard.close(&mut recorder);
                self.over_chunks(&mut recorder, &head_views, &chunks, Some(gradients), &|recorder| {
                    passes.backward(recorder);
                })?;
            }
            self.loss.copy_outputs(encoder, outputs);
            Ok(())
        })
    }

    /// Chunk by chunk: logits, what the loss does with them, and with gradients the way back.
    fn over_chunks(
        &self,
        recorder: &mut Recorder<'_>,
        views: &HeadViews<'_>,
        chunks: &[View<'_>],
        gradients: Option<&HeadGradients<'_>>,
        rows: &dyn Fn(&mut Recorder<'_>),
    ) -> Result<()> {
        self.head.begin(recorder.pass(), views)?;
        for (chunk, scratch) in chunks.iter().enumerate() {
            self.head.forward(recorder.pass(), chunk, views, *scratch)?;
            recorder.hold_to(Some(chunk));
            rows(recorder);
            recorder.hold_to(None);
            if let Some(gradients) = gradients {
                self.head.backward(recorder.pass(), chunk, views, gradients, *scratch)?;
            }
        }
        match gradients {
            Some(gradients) => self.head.finish(recorder.pass(), views, gradients),
            None => Ok(()),
        }
    }

    /// The head's views with the labels of a margin.
    fn head_views<'a>(&self, views: &HeadLossViews<'a>) -> Result<HeadViews<'a>> {
        if views.head.labels.is_some() {
            return Err(Error::Unexpected {
                what: "labels of the head",
                planned: "for those of the targets",
            });
        }
        let labels = match (self.head.head().margin, views.targets) {
            (TargetMargin::None, _) => None,
            (_, TargetViews::Hard(labels)) => Some(labels),
            _ => return Err(Error::Missing { what: "labels", needed_by: "the head's margin" }),
        };
        Ok(HeadViews { labels, ..views.head })
    }

    /// As much of the scratch buffer as is used.
    fn scratch<'a>(&self, scratch: View<'a>) -> Result<View<'a>> {
        let needed = self.scratch_bytes();
        if scratch.size < needed {
            return Err(Error::Length { what: "the scratch buffer", expected: needed, found: scratch.size });
        }
        Ok(View::new(scratch.buffer, scratch.offset, needed))
    }

    /// The scratch buffer as each chunk has it.
    fn chunk_views<'a>(&self, scratch: View<'a>) -> Vec<View<'a>> {
        let bytes = |rows: usize| 4 * rows as u64 * self.head.request().classes as u64;
        let chunks = self.head.chunks();
        chunks.map(|rows| View::new(scratch.buffer, scratch.offset, bytes(rows.len()))).collect()
    }

    /// Bytes of the scratch buffer that the caller brings: at most what the request allows.
    pub fn scratch_bytes(&self) -> u64 {
        self.head.scratch_bytes()
    }

    /// Rows whose logits are in the scratch buffer at a time, and how many times that is.
    pub fn chunks(&self) -> (usize, usize) {
        (self.head.request().chunk, self.head.chunks().len())
    }

    /// Bytes that the plan itself has on the device: O(N + K). The scratch buffer is the caller's.
    pub fn bytes(&self) -> u64 {
        self.head.bytes() + self.loss.bytes()
    }

    /// The loss's plan: its kernels, counts and status.
    pub fn loss(&self) -> &Plan {
        &self.loss
    }

    /// The head's plan.
    pub fn head(&self) -> &HeadPlan {
        &self.head
    }

    /// Replaces the numbers of the loss, and the head's scale and margin: nothing is compiled.
    ///
    /// # Errors
    /// Those of [`Plan::update`] and [`HeadPlan::update`]; [`Error::Unexpected`] for another ignored index where the head
    /// has a margin.
    pub fn update(&mut self, spec: &HeadLoss) -> Result<()> {
        let HeadRequest { classes, dim, ignore_index, .. } = *self.head.request();
        spec.check(classes, dim, self.loss.core.request.targets)?;
        if spec.head.margin != TargetMargin::None && spec.loss.ignore_index != ignore_index {
            return Err(Error::Unexpected {
                what: "another ignored index",
                planned: "for the one that its head's margin leaves out",
            });
        }
        self.loss.update(&spec.loss)?;
        self.head.update(&spec.head)
    }

    /// The plan in words.
    pub fn describe(&self) -> String {
        let (rows, count) = self.chunks();
        format!(
            "head of dimension {} in {count} chunks of up to {rows} rows, {} bytes of scratch; loss: {}",
            self.head.request().dim,
            self.scratch_bytes(),
            self.loss.describe()
        )
    }
}

/// The loss's inputs: a chunk's logits at a time.
fn inputs<'a>(views: &HeadLossViews<'a>, chunks: &'a [View<'a>]) -> Inputs<'a> {
    Inputs {
        logits: MatrixView::Blocks(chunks),
        targets: views.targets,
        row_weights: views.row_weights,
        feature_norms: views.feature_norms,
        gates: views.gates,
        teacher: None,
    }
}
