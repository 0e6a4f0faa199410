//! A head and its loss for features and weights in host memory.

use super::loss_request::{HeadLossRequest, HeadLossViews};
use super::views::{HeadGradients, HeadViews};
use crate::batch::Targets;
use crate::gpu::context::Context;
use crate::gpu::plan::storage;
use crate::gpu::readback;
use crate::gpu::view::{MatrixView, Outputs, TargetViews, View};
use crate::head::{ClassScale, HeadBatch, HeadLoss};
use crate::{Error, Result};

/// What a head and its loss gave for a batch.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct HeadOutput {
    /// The reduced loss.
    pub loss: f32,
    /// The rows' losses before the reduction, `[N]`.
    pub row_loss: Vec<f32>,
    /// The class of the largest logit, `[N]`.
    pub argmax: Vec<u32>,
    /// The gradient in the features, `[N, D]`.
    pub feature_gradient: Vec<f32>,
    /// The gradient in the weights, `[K, D]`.
    pub weight_gradient: Vec<f32>,
    /// The gradient in the biases, `[K]`, for a head that has them.
    pub bias_gradient: Option<Vec<f32>>,
    /// The gradient in the learned scales, `[K]`, for a head that has them.
    pub class_scale_gradient: Option<Vec<f32>>,
    /// The gradient in the head's scale.
    pub scale_gradient: f32,
    /// The cumulative class counts after the batch, `[K]`, for a loss with seesaw.
    pub counts: Option<Vec<u64>>,
}

impl Context {
    /// Loss and gradients of one batch of features, with at most `scratch_bytes` bytes for logits. Blocks. An engine
    /// that has its features on the device plans once: [`Kernels::head_loss`](crate::gpu::Kernels::head_loss).
    ///
    /// ```
    /// use longtail::head::{Head, HeadBatch, HeadInput, HeadLoss};
    /// use longtail::{SoftmaxLoss, Targets, gpu::Context};
    /// # fn main() -> longtail::Result<()> {
    /// let spec = HeadLoss::new(Head::linear(), SoftmaxLoss::cross_entropy());
    /// // Logits (3, 0): the gradient of the logits is (p - 1, 1 - p), p = 1 / (1 + exp(-3)).
    /// let input = HeadInput::new(&[1.0f32, 2.0], &[1.0, 1.0, 0.0, 0.0], 2, 2);
    /// let batch = HeadBatch::new(input, Targets::Hard(&[0]));
    /// let output = Context::new()?.head_loss_and_grad(&spec, &batch, 1 << 20)?;
    /// let rest = 1.0 / (1.0 + 3f32.exp());
    /// assert!((output.loss - (1.0 + (-3f32).exp()).ln()).abs() < 1e-6);
    /// assert!((output.weight_gradient[1] + 2.0 * rest).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What [`HeadBatch::check`] and [`Kernels::head_loss`](crate::gpu::Kernels::head_loss) report;
    /// [`Error::NonFinite`] for rows whose logits overflow.
    pub fn head_loss_and_grad(
        &self,
        spec: &HeadLoss,
        batch: &HeadBatch<'_>,
        scratch_bytes: u64,
    ) -> Result<HeadOutput> {
        pollster::block_on(self.head_loss_and_grad_async(spec, batch, scratch_bytes))
    }

    /// [`head_loss_and_grad`](Self::head_loss_and_grad) without blocking on the web.
    ///
    /// # Errors
    /// As [`head_loss_and_grad`](Self::head_loss_and_grad).
    pub async fn head_loss_and_grad_async(
        &self,
        spec: &HeadLoss,
        batch: &HeadBatch<'_>,
        scratch_bytes: u64,
    ) -> Result<HeadOutput> {
        batch.check(spec)?;
        let kernels = self.kernels();
        let (rows, classes, dim) = (batch.rows(), batch.input.classes, batch.input.dim);
        let mut request = HeadLossRequest::new(rows, classes, dim)
            .with_scratch_bytes(scratch_bytes)
            .with_targets(batch.targets.kind())
            .with_argmax();
        request.row_weights = batch.row_weights.is_some();
        request.head = request.head.with_scale_gradient();
        let plan = kernels.head_loss(spec, &request)?;
        let norms = batch.own_feature_norms(spec);
        let norms = batch.feature_norms.or(Some(norms.as_slice()).filter(|norms| !norms.is_empty()));
        let made = kernels.scoped("a batch of features", || {
            let upload = |bytes: &[u8]| {
                let buffer = storage(kernels, "longtail batch", (bytes.len() as u64).max(4));
                kernels.queue.write_buffer(&buffer, 0, bytes);
                (buffer, bytes.len() as u64)
            };
            let floats = |values: &[f32]| upload(bytemuck::cast_slice(values));
            let empty = |words: usize| {
                (storage(kernels, "longtail batch", 4 * words.max(1) as u64), 4 * words as u64)
            };
            let input = &batch.input;
            let (targets, soft): (Vec<_>, bool) = match batch.targets {
                Targets::Hard(labels) => (vec![upload(bytemuck::cast_slice(labels))], false),
                Targets::Mixed { first, second, lambda } => {
                    let labels = [first, second].map(|labels| upload(bytemuck::cast_slice(labels)));
                    (labels.into_iter().chain([floats(lambda)]).collect(), false)
                }
                Targets::Soft(soft) | Targets::MultiHot(soft) => (vec![floats(soft)], true),
            };
            Ok(Made {
                features: floats(input.features),
                weights: floats(input.weights),
                bias: input.bias.map(floats),
                class_scale: input.class_scale.map(floats),
                centre: input.centre.map(floats),
                targets,
                soft,
                row_weights: batch.row_weights.map(floats),
                norms: norms.map(floats),
                gates: batch.gates.map(floats),
                scratch: empty(usize::try_from(plan.scratch_bytes() / 4).unwrap_or(usize::MAX)),
                to_features: empty(rows * dim),
                to_weights: empty(classes * dim),
                to_bias: empty(classes),
                to_class_scale: empty(classes),
                to_scale: empty(1),
                outputs: empty(2 * rows + 1),
            })
        })?;
        let views = made.views()?;
        let gradients = HeadGradients {
            features: Some(whole(&made.to_features)),
            weights: Some(whole(&made.to_weights)),
            bias: spec.head.bias.then(|| whole(&made.to_bias)),
            class_scale: (spec.head.class_scale != ClassScale::None).then(|| whole(&made.to_class_scale)),
            scale: Some(whole(&made.to_scale)),
        };
        let bytes = 4 * rows as u64;
        let outputs = Outputs {
            loss: Some(View::new(&made.outputs.0, 2 * bytes, 4)),
            row_loss: Some(View::new(&made.outputs.0, 0, bytes)),
            argmax: Some(View::new(&made.outputs.0, bytes, bytes)),
            ..Outputs::default()
        };
        let mut encoder = kernels.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        plan.encode_loss_and_grad(&mut encoder, &views, &gradients, &outputs)?;
        kernels.scoped("submitting a batch", || {
            kernels.queue.submit([encoder.finish()]);
            Ok(())
        })?;
        plan.loss().status_async().await?;
        let all = [
            &made.outputs,
            &made.to_features,
            &made.to_weights,
            &made.to_bias,
            &made.to_class_scale,
            &made.to_scale,
        ];
        let ranges: Vec<_> = all.iter().map(|(buffer, bytes)| (buffer, 0, *bytes)).collect();
        let parts = readback::read(kernels, &ranges).await?;
        let mut parts = parts.iter().map(Vec::as_slice);
        let mut next = || parts.next().unwrap_or(&[]);
        let rows_out = next();
        let field = |from: usize, to: usize| rows_out.get(4 * from..4 * to).unwrap_or(&[]);
        Ok(HeadOutput {
            loss: readback::words::<f32>(field(2 * rows, 2 * rows + 1)).first().copied().unwrap_or(0.0),
            row_loss: readback::words(field(0, rows)),
            argmax: readback::words(field(rows, 2 * rows)),
            feature_gradient: readback::words(next()),
            weight_gradient: readback::words(next()),
            bias_gradient: Some(readback::words(next())).filter(|_| spec.head.bias),
            class_scale_gradient: Some(readback::words(next()))
                .filter(|_| spec.head.class_scale != ClassScale::None),
            scale_gradient: readback::words::<f32>(next()).first().copied().unwrap_or(0.0),
            counts: match plan.loss().counts() {
                Some(counts) => Some(counts.read_async().await?),
                None => None,
            },
        })
    }
}

/// The buffers of a batch, each with the bytes that it holds.
struct Made {
    features: (wgpu::Buffer, u64),
    weights: (wgpu::Buffer, u64),
    bias: Option<(wgpu::Buffer, u64)>,
    class_scale: Option<(wgpu::Buffer, u64)>,
    centre: Option<(wgpu::Buffer, u64)>,
    targets: Vec<(wgpu::Buffer, u64)>,
    soft: bool,
    row_weights: Option<(wgpu::Buffer, u64)>,
    norms: Option<(wgpu::Buffer, u64)>,
    gates: Option<(wgpu::Buffer, u64)>,
    scratch: (wgpu::Buffer, u64),
    to_features: (wgpu::Buffer, u64),
    to_weights: (wgpu::Buffer, u64),
    to_bias: (wgpu::Buffer, u64),
    to_class_scale: (wgpu::Buffer, u64),
    to_scale: (wgpu::Buffer, u64),
    outputs: (wgpu::Buffer, u64),
}

/// As much of a buffer as is filled.
fn whole(held: &(wgpu::Buffer, u64)) -> View<'_> {
    View::new(&held.0, 0, held.1)
}

impl Made {
    fn views(&self) -> Result<HeadLossViews<'_>> {
        let targets = match self.targets.as_slice() {
            [dense] if self.soft => TargetViews::Soft(MatrixView::Whole(whole(dense))),
            [labels] => TargetViews::Hard(whole(labels)),
            [first, second, lambda] => {
                TargetViews::Mixed { first: whole(first), second: whole(second), lambda: whole(lambda) }
            }
            _ => return Err(Error::Missing { what: "targets", needed_by: "the loss" }),
        };
        Ok(HeadLossViews {
            head: HeadViews {
                features: whole(&self.features),
                weights: whole(&self.weights),
                bias: self.bias.as_ref().map(whole),
                class_scale: self.class_scale.as_ref().map(whole),
                centre: self.centre.as_ref().map(whole),
                labels: None,
            },
            targets,
            row_weights: self.row_weights.as_ref().map(whole),
            feature_norms: self.norms.as_ref().map(whole),
            gates: self.gates.as_ref().map(|gates| MatrixView::Whole(whole(gates))),
            scratch: Some(whole(&self.scratch)),
        })
    }
}
