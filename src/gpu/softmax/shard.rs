//! Passes of a plan that works on one shard of the classes.
//!
//! Each shard leaves statistics of its part of every row, the caller puts them together, each shard finishes:
//!
//! ```text
//! for round in 0..rounds:   encode_partial   ->  any all-reduce of region `round`  (bitwise or, or integer sum)
//! then                      encode_shard_loss_and_grad, or encode_shard_forward and encode_backward
//! ```

use super::SoftmaxPasses;
use super::steps::{RowSteps, ShardSteps, SplitSteps};
use crate::gpu::plan::{Bound, Passes, Plan, Recorder, check_apart};
use crate::gpu::request::Mode;
use crate::gpu::view::{Inputs, MatrixView, Outputs, View};
use crate::{Error, Result};
use std::ops::Range;
use wgpu::BufferUsages;

/// The passes of a plan that works on one shard of the classes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardPasses<'a> {
    passes: &'a SoftmaxPasses,
    split: &'a SplitSteps,
    steps: &'a ShardSteps,
}

impl<'a> ShardPasses<'a> {
    /// `None` for a plan that is no shard.
    pub(super) fn new(passes: &'a SoftmaxPasses) -> Option<Self> {
        match &passes.steps.rows {
            RowSteps::Split(split) => {
                split.shard.as_ref().map(|steps| Self { passes, split: split.as_ref(), steps })
            }
            RowSteps::Whole(_) | RowSteps::AndColumns(_) => None,
        }
    }

    /// What a round asks of rows whose logits are there.
    fn rows_of_round(&self, recorder: &mut Recorder<'_>, round: usize) {
        if round == 0 {
            self.passes.labels(recorder, self.split);
        }
        match &self.steps.gather_labels {
            Some(gather) if round == 0 => recorder.over_rows(gather),
            _ => {
                recorder.over_windows(&self.split.partial);
                recorder.over_rows(&self.steps.gather);
            }
        }
    }

    /// The rows' results and the reduced loss, from the statistics of all shards.
    pub(crate) fn close(&self, recorder: &mut Recorder<'_>) {
        // With two rounds, the second one has adopted the labels.
        if self.split.rounds() == 1 {
            self.adopt(recorder);
        }
        self.passes.denominator(recorder);
        recorder.over_rows(&self.split.close);
        Passes::finish(self.passes, recorder);
    }

    fn adopt(&self, recorder: &mut Recorder<'_>) {
        if let Some(step) = &self.steps.adopt {
            recorder.over_rows(step);
        }
    }
}

/// What the shards of a plan exchange: 32-bit words, a region for each round, in it a slot for each shard.
///
/// A shard writes its own slot of a region and 0 everywhere else in it. Putting the statistics of several shards
/// together is therefore a bitwise or, word by word: associative, commutative and exact, whatever the order and the
/// tree. An integer sum does the same, and so does copying each shard's slot. The slots are merged in the order of the
/// shards' numbers when the pass is finished, so that the result has the same bits everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    rounds: usize,
    shards: usize,
    slot: u64,
    region: u64,
}

/// Regions start at multiples of this.
const REGION_STEP: u64 = 256;

impl Statistics {
    /// Rounds of statistics: 1, or 2 for seesaw, whose factors need the label's count and logit first.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Bytes of the whole buffer.
    pub fn bytes(&self) -> u64 {
        self.region * self.rounds as u64
    }

    /// The bytes of one round: what is to be put together before the next one.
    pub fn region(&self, round: usize) -> Range<u64> {
        let start = self.region * round as u64;
        start..start + self.slot * self.shards as u64
    }

    /// The bytes that one shard writes in a round.
    pub fn slot(&self, round: usize, shard: usize) -> Range<u64> {
        let start = self.region(round).start + self.slot * shard as u64;
        start..start + self.slot
    }

    /// Puts the statistics of other shards to those in `words`: a bitwise or.
    ///
    /// ```
    /// let mut words = [7, 0, 0];
    /// longtail::gpu::Statistics::merge(&mut words, &[0, 9, 0])?;
    /// assert_eq!(words, [7, 9, 0]);
    /// # Ok::<(), longtail::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] for statistics of another size.
    pub fn merge(words: &mut [u32], others: &[u32]) -> Result<()> {
        if words.len() != others.len() {
            return Err(Error::Length {
                what: "the statistics",
                expected: words.len() as u64,
                found: others.len() as u64,
            });
        }
        for (word, other) in words.iter_mut().zip(others) {
            *word |= other;
        }
        Ok(())
    }
}

impl Plan {
    /// What this plan exchanges with the other shards; `None` for a plan that is no shard.
    pub fn statistics(&self) -> Option<Statistics> {
        let shard = self.core.request.shard.as_ref()?;
        let passes = self.passes.shard()?;
        let slot = 4 * passes.passes.layout.statistics * self.core.extent.rows;
        let region = (slot * shard.shards as u64).next_multiple_of(REGION_STEP);
        let rounds = passes.split.rounds();
        Some(Statistics { rounds, shards: shard.shards, slot, region })
    }

    /// Records what this shard knows of its rows, in its slot of region `round` of `statistics`; the other slots of
    /// that region become 0. The rounds before must have been put together.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for a plan that is no shard; [`Error::Parameter`] for a round there is not; those of
    /// [`encode_loss_and_grad`](Self::encode_loss_and_grad) for views. The statistics' buffer needs the usages
    /// `STORAGE` and `COPY_DST`.
    pub fn encode_partial(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &Inputs<'_>,
        round: usize,
        statistics: View<'_>,
    ) -> Result<()> {
        self.expect_logits()?;
        let bound = self.check_inputs(inputs)?;
        self.encode_partial_over(encoder, bound, round, statistics, |recorder, rows| {
            rows(recorder);
            Ok(())
        })
    }

    /// The same where logits come and go: `over` has `rows` recorded for whatever rows the logits are there.
    pub(crate) fn encode_partial_over<'a>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        mut bound: Bound<'a>,
        round: usize,
        statistics: View<'a>,
        over: impl FnOnce(&mut Recorder<'_>, &dyn Fn(&mut Recorder<'_>)) -> Result<()>,
    ) -> Result<()> {
        let shard = self.shard_passes()?;
        let rounds = shard.split.rounds();
        if round >= rounds {
            #[expect(clippy::cast_precision_loss, reason = "only for the message")]
            let value = round as f64;
            return Err(Error::Parameter {
                name: "the round",
                value,
                expected: "below Statistics::rounds()",
            });
        }
        let whole = self.check_statistics(statistics)?;
        let region = |round| region_of(&whole, statistics, round);
        let usage = BufferUsages::COPY_DST;
        statistics.check("the statistics", whole.bytes(), self.core.alignment(), usage)?;
        let own = region(round);
        bound.statistics = Some(own);
        // Another name for the region that the round before has left.
        let mut before = bound;
        before.statistics = Some(region(round.saturating_sub(1)));
        self.core.kernels.scoped("a shard's statistics", || {
            if own.size > 0 {
                encoder.clear_buffer(own.buffer, own.offset, Some(own.size));
            }
            if round > 0 {
                let mut recorder = self.record(encoder, &before, "longtail labels of shards");
                shard.adopt(&mut recorder);
                shard.passes.threshold(&mut recorder, shard.split);
            }
            let mut recorder = self.record(encoder, &bound, "longtail partial");
            if round == 0 {
                shard.passes.start(&mut recorder);
            }
            over(&mut recorder, &|recorder| shard.rows_of_round(recorder, round))
        })
    }

    /// The passes and views of a shard that finishes, without the gradient.
    pub(crate) fn bind_shard<'a>(
        &'a self,
        inputs: &Inputs<'a>,
        statistics: View<'a>,
    ) -> Result<(ShardPasses<'a>, Bound<'a>)> {
        let shard = self.shard_passes()?;
        let whole = self.check_statistics(statistics)?;
        let mut bound = self.check_inputs(inputs)?;
        bound.statistics = Some(region_of(&whole, statistics, shard.split.rounds() - 1));
        Ok((shard, bound))
    }

    /// Records loss and gradient of a shard from the statistics of all shards: the loss is that of all classes, the
    /// same on every shard, the gradient that of the shard's own.
    ///
    /// # Errors
    /// As [`encode_partial`](Self::encode_partial).
    pub fn encode_shard_loss_and_grad(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &Inputs<'_>,
        statistics: View<'_>,
        gradient: Option<MatrixView<'_>>,
        class_scale_gradient: Option<View<'_>>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.expect_mode(Mode::LossAndGrad)?;
        let (shard, mut bound) = self.bind_shard(inputs, statistics)?;
        self.check_outputs(outputs)?;
        self.check_gradient(&mut bound, gradient)?;
        self.check_class_scale(&mut bound, class_scale_gradient)?;
        check_apart(&bound, outputs)?;
        self.core.kernels.scoped("a shard's loss and gradient", || {
            {
                let mut recorder = self.record(encoder, &bound, "longtail loss and gradient");
                shard.close(&mut recorder);
                self.passes.backward(&mut recorder);
            }
            self.copy_outputs(encoder, outputs);
            Ok(())
        })
    }

    /// Records the forward pass of a shard from the statistics of all shards;
    /// [`encode_backward`](Self::encode_backward) then gives the gradient.
    ///
    /// # Errors
    /// As [`encode_partial`](Self::encode_partial).
    pub fn encode_shard_forward(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &Inputs<'_>,
        statistics: View<'_>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.expect_mode(Mode::ForwardBackward)?;
        self.expect_logits()?;
        let (shard, bound) = self.bind_shard(inputs, statistics)?;
        self.check_outputs(outputs)?;
        check_apart(&bound, outputs)?;
        self.core.kernels.scoped("a shard's forward pass", || {
            shard.close(&mut self.record(encoder, &bound, "longtail forward"));
            self.copy_outputs(encoder, outputs);
            Ok(())
        })
    }

    fn shard_passes(&self) -> Result<ShardPasses<'_>> {
        self.passes.shard().ok_or(Error::Unexpected { what: "a pass of a shard", planned: "for all classes" })
    }

    fn check_statistics(&self, view: View<'_>) -> Result<Statistics> {
        let statistics = self
            .statistics()
            .ok_or(Error::Unexpected { what: "statistics of shards", planned: "for all classes" })?;
        view.check("the statistics", statistics.bytes(), self.core.alignment(), BufferUsages::STORAGE)?;
        Ok(statistics)
    }
}

/// The part of the buffer that belongs to a round.
fn region_of<'a>(statistics: &Statistics, view: View<'a>, round: usize) -> View<'a> {
    let region = statistics.region(round);
    View::new(view.buffer, view.offset + region.start, region.end - region.start)
}
