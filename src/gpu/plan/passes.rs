//! What a family of losses brings to a plan.

use super::Plan;
use super::core::Core;
use super::extent::Window;
use super::recorder::Recorder;
use super::step::Step;
use super::views::Bound;
use crate::Result;
use crate::gpu::counts::DeviceCounts;
use crate::gpu::sigmoid::DeviceGradientSums;
use crate::gpu::softmax::ShardPasses;
use crate::loss::Loss;

/// What a pass reads besides logits, targets and row weights; each with the words for why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wants {
    /// Gates, or weights of elements.
    pub gates: Option<&'static str>,
    /// The features' norms.
    pub feature_norms: Option<&'static str>,
    /// The teacher's logits, and how many columns they have.
    pub teacher: Option<(&'static str, u64)>,
    /// Whether there is one loss for the whole batch, and none for each row.
    pub whole_batch: bool,
    /// Whether rows have no log-sum-exp and no target's probability.
    pub no_statistics: bool,
}

/// A family's kernels, and how a pass runs them.
pub(crate) trait Passes: std::fmt::Debug + Send + Sync {
    /// Every kernel that passes run, in order.
    fn steps(&self) -> Vec<&Step>;

    /// What a pass reads and gives.
    fn wants(&self) -> Wants;

    /// Records what needs no logits, for all rows: labels, counts, denominators. This and the next two are what a loss
    /// whose rows go one by one implements; one that looks at the whole batch implements [`forward`](Self::forward).
    fn prepare(&self, _recorder: &mut Recorder<'_>) {}

    /// Records the rows' losses; for a fused plan the gradient too. A recorder that is held to one block of rows does
    /// so for these.
    fn rows(&self, _recorder: &mut Recorder<'_>) {}

    /// Records the reduced loss.
    fn finish(&self, _recorder: &mut Recorder<'_>) {}

    /// Records what follows: the gradient, unless the plan is fused. May be held to one block as well.
    fn backward(&self, recorder: &mut Recorder<'_>);

    /// Records everything up to the reduced loss.
    fn forward(&self, recorder: &mut Recorder<'_>) {
        self.prepare(recorder);
        self.rows(recorder);
        self.finish(recorder);
    }

    /// Takes a loss's numbers into the plan's memory.
    ///
    /// # Errors
    /// What the loss's check reports; [`Error::Unexpected`](crate::Error::Unexpected) for a loss that the plan was not
    /// made for.
    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()>;

    /// A binding of the family's own.
    fn resource<'a>(
        &'a self,
        _core: &'a Core,
        _bound: &'a Bound<'a>,
        _name: &str,
        _window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        None
    }

    /// Name and bytes of each buffer of the family's own.
    fn buffers(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// How rows are laid over threads, in words.
    fn manner(&self, core: &Core) -> String;

    /// Cumulative class counts.
    fn counts(&self) -> Option<&DeviceCounts> {
        None
    }

    /// Plans that this one runs as its parts.
    fn parts(&self) -> Vec<&Plan> {
        Vec::new()
    }

    /// Accumulated gradients.
    fn gradient_sums(&self) -> Option<&DeviceGradientSums> {
        None
    }

    /// The passes of a plan that works on one shard of the classes.
    fn shard(&self) -> Option<ShardPasses<'_>> {
        None
    }
}
