//! Recording a plan's passes into the caller's encoder: views are checked, nothing is decided or allocated.

mod record;
mod shard;
mod views;

pub use shard::Statistics;

use super::plan::Plan;
use super::request::Mode;
use super::view::{Inputs, MatrixView, Outputs, View};
use crate::{Error, Result};
use record::Recorder;
use views::check_apart;

impl Plan {
    /// Records loss and gradient. `gradient` is `None` for a plan in place; `class_scale_gradient` (`[K]`, f32) is
    /// written where the plan was asked for it.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for a plan of another mode, a sharded plan, or views it has no use for;
    /// [`Error::Missing`], [`Error::Length`], [`Error::Alignment`], [`Error::Overlap`], [`Error::BufferUsage`] for
    /// views; [`Error::Device`], [`Error::DeviceLost`] for buffers of another or a lost device.
    pub fn encode_loss_and_grad(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &Inputs<'_>,
        gradient: Option<MatrixView<'_>>,
        class_scale_gradient: Option<View<'_>>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.expect_mode(Mode::LossAndGrad)?;
        self.expect_whole()?;
        let mut bound = self.check_inputs(inputs)?;
        self.check_outputs(outputs)?;
        self.check_gradient(&mut bound, gradient)?;
        self.check_class_scale(&mut bound, class_scale_gradient)?;
        check_apart(&bound, outputs)?;
        self.kernels.scoped("loss and gradient", || {
            {
                let mut recorder = Recorder::begin(self, encoder, &bound, "longtail loss and gradient");
                recorder.forward();
                recorder.backward();
            }
            self.copy_outputs(encoder, outputs);
            Ok(())
        })
    }

    /// Records a forward pass, which keeps in the plan what [`encode_backward`](Self::encode_backward) needs.
    ///
    /// # Errors
    /// As [`encode_loss_and_grad`](Self::encode_loss_and_grad).
    pub fn encode_forward(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &Inputs<'_>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.expect_mode(Mode::ForwardBackward)?;
        self.expect_whole()?;
        let bound = self.check_inputs(inputs)?;
        self.check_outputs(outputs)?;
        check_apart(&bound, outputs)?;
        self.kernels.scoped("the forward pass", || {
            Recorder::begin(self, encoder, &bound, "longtail forward").forward();
            self.copy_outputs(encoder, outputs);
            Ok(())
        })
    }

    /// Records the backward pass of the last forward pass, with the same inputs. `upstream` is the gradient of the
    /// caller's loss in this one: one f32, or `[N]` for the rows' losses (as [`Reduction::None`](crate::Reduction)
    /// gives them; with another reduction the denominator still divides); `None` is 1.
    ///
    /// # Errors
    /// As [`encode_loss_and_grad`](Self::encode_loss_and_grad).
    pub fn encode_backward(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &Inputs<'_>,
        upstream: Option<View<'_>>,
        gradient: Option<MatrixView<'_>>,
        class_scale_gradient: Option<View<'_>>,
    ) -> Result<()> {
        self.expect_mode(Mode::ForwardBackward)?;
        let mut bound = self.check_inputs(inputs)?;
        self.check_upstream(&mut bound, upstream)?;
        self.check_gradient(&mut bound, gradient)?;
        self.check_class_scale(&mut bound, class_scale_gradient)?;
        self.kernels.scoped("the backward pass", || {
            Recorder::begin(self, encoder, &bound, "longtail backward").backward();
            Ok(())
        })
    }

    fn expect_mode(&self, mode: Mode) -> Result<()> {
        match (self.request.mode == mode, mode) {
            (true, _) => Ok(()),
            (false, Mode::LossAndGrad) => {
                Err(Error::Unexpected { what: "a fused pass", planned: "for forward and backward passes" })
            }
            (false, Mode::ForwardBackward) => Err(Error::Unexpected {
                what: "a forward or backward pass",
                planned: "for loss and gradient together",
            }),
        }
    }

    fn expect_whole(&self) -> Result<()> {
        match self.request.shard {
            None => Ok(()),
            Some(_) => Err(Error::Unexpected {
                what: "a pass over all classes",
                planned: "for one shard of them (encode_partial, then encode_shard_...)",
            }),
        }
    }
}
