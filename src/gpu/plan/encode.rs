//! Recording a plan's passes into the caller's encoder: views are checked, nothing is decided or allocated.

use super::memory::SCALAR_LOSS;
use super::views::{Bound, check_apart};
use super::{Plan, Recorder};
use crate::gpu::request::Mode;
use crate::gpu::shader::SAVED_OUTPUTS;
use crate::gpu::view::{Inputs, MatrixView, Outputs, View};
use crate::{Error, Result};

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
        self.core.kernels.scoped("loss and gradient", || {
            {
                let mut recorder = self.record(encoder, &bound, "longtail loss and gradient");
                self.passes.forward(&mut recorder);
                self.passes.backward(&mut recorder);
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
        self.expect_logits()?;
        let bound = self.check_inputs(inputs)?;
        self.check_outputs(outputs)?;
        check_apart(&bound, outputs)?;
        self.core.kernels.scoped("the forward pass", || {
            self.passes.forward(&mut self.record(encoder, &bound, "longtail forward"));
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
        self.expect_logits()?;
        let mut bound = self.check_inputs(inputs)?;
        self.check_upstream(&mut bound, upstream)?;
        self.check_gradient(&mut bound, gradient)?;
        self.check_class_scale(&mut bound, class_scale_gradient)?;
        self.core.kernels.scoped("the backward pass", || {
            self.passes.backward(&mut self.record(encoder, &bound, "longtail backward"));
            Ok(())
        })
    }

    /// Begins one compute pass.
    pub(crate) fn record<'a>(
        &'a self,
        encoder: &'a mut wgpu::CommandEncoder,
        bound: &'a Bound<'a>,
        label: &str,
    ) -> Recorder<'a> {
        Recorder::begin(&self.core, self.passes.as_ref(), encoder, bound, label)
    }

    pub(crate) fn copy_outputs(&self, encoder: &mut wgpu::CommandEncoder, outputs: &Outputs<'_>) {
        let core = &self.core;
        let mut list = outputs.list(core.per_row()).into_iter().map(|(_, view, _)| view);
        if let Some(view) = list.next().flatten() {
            let scalars = &core.memory.scalars;
            encoder.copy_buffer_to_buffer(scalars, 4 * SCALAR_LOSS, view.buffer, view.offset, 4);
        }
        // The fields of `saved` follow in the order of the list.
        for (field, view) in (0..SAVED_OUTPUTS).zip(list) {
            let Some(view) = view else { continue };
            for (region, rows) in core.cut.ranges.rows.iter().enumerate() {
                if let Some((buffer, offset)) = core.memory.saved.place(region) {
                    let bytes = 4 * u64::from(rows.rows);
                    let from = offset + field * bytes;
                    let to = view.offset + 4 * rows.row;
                    encoder.copy_buffer_to_buffer(buffer, from, view.buffer, to, bytes);
                }
            }
        }
    }

    pub(crate) fn expect_mode(&self, mode: Mode) -> Result<()> {
        match (self.core.request.mode == mode, mode) {
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

    pub(crate) fn expect_whole(&self) -> Result<()> {
        match self.core.request.shard {
            None => Ok(()),
            Some(_) => Err(Error::Unexpected {
                what: "a pass over all classes",
                planned: "for one shard of them (encode_partial, then encode_shard_...)",
            }),
        }
    }
}
