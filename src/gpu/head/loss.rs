//! A head and the loss on its logits in one step, without N x K.

use super::HeadKey;
use super::fold::{self, Fold, FoldOperands};
use super::loss_request::{HeadLossRequest, HeadLossViews};
use super::plan::HeadPlan;
use super::request::HeadRequest;
use super::views::{HeadGradients, HeadViews};
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Bound, Operands, Plan, Recorder, check_apart};
use crate::gpu::request::{Mode, PlanRequest};
use crate::gpu::shader::Storage;
use crate::gpu::softmax::Statistics;
use crate::gpu::view::{Inputs, MatrixView, Outputs, TargetViews, View};
use crate::head::{HeadLoss, TargetMargin};
use crate::{Error, Result};

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
///
/// Without a way back no logit is stored at all: the products of some rows with some classes stay on chip until the rows'
/// statistics have them. That takes the products once, for seesaw with a floor twice, and for every loss with a label the
/// product of each row of features with its label's weights; it needs no scratch buffer.
#[derive(Debug)]
pub struct HeadLossPlan {
    head: HeadPlan,
    loss: Plan,
    /// Without a way back.
    fold: Option<Fold>,
}

impl Kernels {
    /// Plans a head and its loss: checks everything, compiles, allocates.
    ///
    /// # Errors
    /// Those of [`HeadLoss::check`], [`head`](Self::head) and [`plan`](Self::plan); [`Error::Limit`] for a scratch buffer
    /// of less than one row.
    pub fn head_loss(&self, spec: &HeadLoss, request: &HeadLossRequest) -> Result<HeadLossPlan> {
        let HeadRequest { rows, classes, dim, backward, .. } = request.head;
        spec.check(classes, dim, request.targets)?;
        let chunk = request.chunk(self, &spec.head)?;
        let own = request.own_classes();
        let mut of_head = request.head.with_chunk(chunk).with_first_class(own.start);
        of_head.classes = own.len();
        of_head.ignore_index = spec.loss.ignore_index;
        of_head.logits = backward;
        let chunks = of_head.for_head(&spec.head)?.chunks();
        let mut of_loss = PlanRequest::new(rows, classes)
            .with_targets(request.targets)
            .with_storage(Storage::InPlace)
            .with_first_row(request.first_row)
            .with_mode(match backward {
                true => Mode::LossAndGrad,
                // A forward pass has nothing to leave.
                false => Mode::ForwardBackward,
            })
            .with_row_blocks(chunks.iter().map(std::ops::Range::len).collect::<Vec<_>>());
        if !backward {
            of_loss.computed = Some(fold::computed(self, &spec.head, &of_head)?);
        }
        of_loss.row_weights = request.row_weights;
        of_loss.argmax = request.argmax;
        of_loss.choice = request.choice;
        of_loss.counts = request.counts.clone();
        if let Some(shard) = &request.shard {
            of_loss = of_loss.with_shard(shard.clone());
        }
        of_loss.scratch = true;
        let loss = self.plan(&spec.loss, &of_loss)?;
        // Without scratch the head's ranges of classes are the loss's.
        let ranges = loss.core.cut.ranges.classes.iter();
        let ranges = ranges.map(|range| range.start as usize..range.end as usize).collect();
        let head = self.head_over(&spec.head, &of_head, (!backward).then_some(ranges))?;
        let fold = (!backward).then(|| Fold::new(self, &head, &loss)).transpose()?;
        Ok(HeadLossPlan { head, loss, fold })
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
        let chunks = self.chunk_views(views.scratch)?;
        let operands = self.operands(&head_views);
        let bound = self.bind(&inputs(views, &chunks), operands.as_ref())?;
        self.loss.check_outputs(outputs)?;
        self.check_scratch(&bound, views)?;
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
        let chunks = self.chunk_views(views.scratch)?;
        let operands = self.operands(&head_views);
        let bound = self.bind(&inputs(views, &chunks), operands.as_ref())?;
        self.check_scratch(&bound, views)?;
        self.loss.encode_partial_over(encoder, bound, round, statistics, |recorder, rows| {
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
        let chunks = self.chunk_views(views.scratch)?;
        let inputs = inputs(views, &chunks);
        let (shard, bound) = self.loss.bind_shard(&inputs, statistics)?;
        self.loss.check_outputs(outputs)?;
        self.check_scratch(&bound, views)?;
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

    /// Records the loss of a shard without a way back from the statistics of all shards: the loss is that of all classes.
    /// See [`Plan::encode_shard_forward`].
    ///
    /// # Errors
    /// As [`encode_partial`](Self::encode_partial).
    pub fn encode_shard_forward(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        views: &HeadLossViews<'_>,
        statistics: View<'_>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.loss.expect_mode(Mode::ForwardBackward)?;
        self.head_views(views)?;
        let chunks = self.chunk_views(views.scratch)?;
        let inputs = inputs(views, &chunks);
        let (shard, bound) = self.loss.bind_shard(&inputs, statistics)?;
        self.loss.check_outputs(outputs)?;
        check_apart(&bound, outputs)?;
        self.loss.core.kernels.scoped("a shard's head and loss", || {
            shard.close(&mut self.loss.record(encoder, &bound, "longtail head and loss"));
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
        if let Some(fold) = &self.fold {
            fold.begin(recorder.pass(), &self.head, views)?;
        }
        for chunk in 0..self.head.chunks().len() {
            let scratch = chunks.get(chunk);
            match scratch {
                Some(scratch) => self.head.forward(recorder.pass(), chunk, views, *scratch)?,
                None => self.head.rows(recorder.pass(), chunk, views)?,
            }
            recorder.hold_to(Some(chunk));
            rows(recorder);
            recorder.hold_to(None);
            if let (Some(gradients), Some(scratch)) = (gradients, scratch) {
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

    /// What the loss's kernels bind of the head's, where they compute their logits.
    fn operands<'a>(&'a self, views: &HeadViews<'a>) -> Option<FoldOperands<'a>> {
        self.fold.as_ref().map(|fold| FoldOperands::new(fold, &self.head, views))
    }

    /// The loss's views.
    fn bind<'a>(&self, inputs: &Inputs<'a>, operands: Option<&'a FoldOperands<'a>>) -> Result<Bound<'a>> {
        let operands = operands.map(|operands| operands as &dyn Operands);
        Ok(Bound { operands, ..self.loss.check_inputs(inputs)? })
    }

    /// The scratch buffer as each chunk has it; nothing without one.
    fn chunk_views<'a>(&self, scratch: Option<View<'a>>) -> Result<Vec<View<'a>>> {
        let scratch = match (scratch, &self.fold) {
            (None, Some(_)) => return Ok(Vec::new()),
            (Some(scratch), None) => scratch,
            (None, None) => {
                return Err(Error::Missing {
                    what: "the scratch buffer",
                    needed_by: "a plan with a way back",
                });
            }
            (Some(_), Some(_)) => {
                return Err(Error::Unexpected {
                    what: "a scratch buffer",
                    planned: "without a way back, which stores no logits",
                });
            }
        };
        let needed = self.scratch_bytes();
        if scratch.size < needed {
            return Err(Error::Length { what: "the scratch buffer", expected: needed, found: scratch.size });
        }
        let bytes = |rows: usize| 4 * rows as u64 * self.head.request().classes as u64;
        let chunks = self.head.chunks();
        Ok(chunks.map(|rows| View::new(scratch.buffer, scratch.offset, bytes(rows.len()))).collect())
    }

    /// As much of the scratch buffer as is used, against what is read.
    fn check_scratch(&self, bound: &Bound<'_>, views: &HeadLossViews<'_>) -> Result<()> {
        let used = views.scratch.map(|view| View::new(view.buffer, view.offset, self.scratch_bytes()));
        used.map_or(Ok(()), |scratch| self.loss.check_scratch(bound, scratch))
    }

    /// Bytes of the scratch buffer that the caller brings: at most what the request allows, and 0 without a way back.
    pub fn scratch_bytes(&self) -> u64 {
        self.head.scratch_bytes()
    }

    /// Rows that go through together, whose logits are in the scratch buffer where there is one, and how many times that is.
    pub fn chunks(&self) -> (usize, usize) {
        (self.head.request().chunk, self.head.chunks().len())
    }

    /// Bytes that the plan itself has on the device: O(N + K). The scratch buffer is the caller's.
    pub fn bytes(&self) -> u64 {
        self.head.bytes() + self.loss.bytes() + self.fold.as_ref().map_or(0, Fold::bytes)
    }

    /// The loss's plan: its kernels, counts and status.
    pub fn loss(&self) -> &Plan {
        &self.loss
    }

    /// The keys of the head's kernels; products and norms come on top, and the loss's kernels are its plan's.
    pub fn head_keys(&self) -> Vec<HeadKey> {
        self.head.keys().into_iter().chain(self.fold.iter().flat_map(Fold::keys)).collect()
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
        self.head.update(&spec.head)?;
        self.fold.as_mut().map_or(Ok(()), |fold| fold.update(&spec.head))
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
