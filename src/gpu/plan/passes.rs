//! What a family of losses brings to a plan.

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
    /// Whether a row has a log-sum-exp and a target's probability.
    pub statistics: bool,
}

/// A family's kernels, and how a pass runs them.
pub(crate) trait Passes: std::fmt::Debug + Send + Sync {
    /// Every kernel that passes run, in order.
    fn steps(&self) -> Vec<&Step>;

    /// What a pass reads and gives.
    fn wants(&self) -> Wants;

    /// Records everything up to the reduced loss; for a fused plan the gradient too.
    fn forward(&self, recorder: &mut Recorder<'_>);

    /// Records what follows a forward pass: the gradient, unless the plan is fused.
    fn backward(&self, recorder: &mut Recorder<'_>);

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

    /// Accumulated gradients.
    fn gradient_sums(&self) -> Option<&DeviceGradientSums> {
        None
    }

    /// The passes of a plan that works on one shard of the classes.
    fn shard(&self) -> Option<ShardPasses<'_>> {
        None
    }
}
