//! A plan with buffers of its own, for batches in slices.

use super::kernels::Kernels;
use super::plan::Plan;
use super::readback;
use super::request::{Mode, PlanRequest};
use super::shader::Storage;
use super::view::{Inputs, Outputs, TargetViews, View};
use crate::batch::{Batch, TargetKind, Targets, Upstream};
use crate::softmax::{GateSource, SoftmaxLoss};
use crate::{Error, Result};

/// What a pass over a batch gave.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Output {
    /// The reduced loss.
    pub loss: f32,
    /// The rows' losses before the reduction, `[N]`.
    pub row_loss: Vec<f32>,
    /// The gradient in the logits, `[N, K]`.
    pub gradient: Vec<f32>,
    /// `logsumexp(u)`, `[N]`.
    pub log_sum_exp: Vec<f32>,
    /// The target's probability under `u`, `[N]`; the first label's for two, NaN for soft targets.
    pub target_probability: Vec<f32>,
    /// The class of the largest logit, `[N]`.
    pub argmax: Vec<u32>,
    /// The gradient in the class scales, `[K]`, for a spec that has them.
    pub class_scale_gradient: Option<Vec<f32>>,
    /// The cumulative class counts after the batch, `[K]`, for a spec with seesaw.
    pub counts: Option<Vec<u64>>,
}

/// A plan with buffers for batches in host memory, all of one shape. The gradient is made in place.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    spec: SoftmaxLoss,
    logits: wgpu::Buffer,
    targets: Vec<wgpu::Buffer>,
    row_weights: Option<wgpu::Buffer>,
    feature_norms: Option<wgpu::Buffer>,
    gates: Option<wgpu::Buffer>,
    upstream: Option<wgpu::Buffer>,
    class_scale_gradient: Option<wgpu::Buffer>,
    rows: wgpu::Buffer,
}

impl Session {
    /// A session for a request; its storage is taken to be in place.
    ///
    /// # Errors
    /// As [`Kernels::plan`].
    pub fn of(kernels: &Kernels, spec: &SoftmaxLoss, request: &PlanRequest) -> Result<Self> {
        let request =
            request.clone().with_storage(Storage::InPlace).with_strides(request.classes, request.classes);
        let plan = kernels.plan(spec, &request)?;
        let (rows, classes) = (request.rows as u64, request.classes as u64);
        kernels.scoped("a session's buffers", || {
            let buffer = |label: &str, elements: u64| {
                kernels.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(label),
                    size: 4 * elements.max(1),
                    usage: wgpu::BufferUsages::STORAGE
                        | wgpu::BufferUsages::COPY_SRC
                        | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            };
            let given = spec.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given);
            Ok(Self {
                logits: buffer("logits", rows * classes),
                targets: match request.targets {
                    TargetKind::Hard => vec![buffer("labels", rows)],
                    TargetKind::Mixed => {
                        ["first labels", "second labels", "lambda"].map(|label| buffer(label, rows)).to_vec()
                    }
                    TargetKind::Soft | TargetKind::MultiHot => {
                        vec![buffer("soft targets", rows * classes)]
                    }
                },
                row_weights: request.row_weights.then(|| buffer("row weights", rows)),
                feature_norms: spec.influence.is_some().then(|| buffer("feature norms", rows)),
                gates: given.then(|| buffer("gates", rows * classes)),
                upstream: (request.mode == Mode::ForwardBackward).then(|| buffer("upstream", rows)),
                class_scale_gradient: request
                    .class_scale_gradient
                    .then(|| buffer("the class scales' gradient", classes)),
                // Four fields per row, then the loss.
                rows: buffer("row outputs", 4 * rows + 1),
                spec: spec.clone(),
                plan,
            })
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Replaces the numbers of the spec; see [`Plan::update`].
    ///
    /// # Errors
    /// As [`Plan::update`].
    pub fn update(&mut self, spec: &SoftmaxLoss) -> Result<()> {
        if spec.influence.is_some() != self.feature_norms.is_some() {
            let what = "a spec with or without influence balancing";
            return Err(Error::Unexpected { what, planned: "the other way" });
        }
        self.plan.update(spec)?;
        self.spec = spec.clone();
        Ok(())
    }

    /// Sets the gates' step; see [`Plan::set_step`].
    ///
    /// # Errors
    /// As [`Plan::set_step`].
    pub fn set_step(&self, step: u64) -> Result<()> {
        self.plan.set_step(step)
    }

    /// Loss and gradient of a batch of the session's shape. Blocks.
    ///
    /// # Errors
    /// As [`Context::loss_and_grad`](super::Context::loss_and_grad), and [`Error::Length`] for another shape.
    pub fn loss_and_grad(&mut self, batch: &Batch<'_>) -> Result<Output> {
        pollster::block_on(self.loss_and_grad_async(batch))
    }

    /// [`loss_and_grad`](Self::loss_and_grad) without blocking on the web.
    ///
    /// # Errors
    /// As [`loss_and_grad`](Self::loss_and_grad).
    pub async fn loss_and_grad_async(&mut self, batch: &Batch<'_>) -> Result<Output> {
        self.upload(batch)?;
        let mut encoder = self.encoder();
        let class_scale = self.class_scale_gradient.as_ref().map(View::whole);
        let inputs = self.inputs();
        self.plan.encode_loss_and_grad(&mut encoder, &inputs, None, class_scale, &self.outputs())?;
        self.finish(encoder).await
    }

    /// Forward and backward pass of a batch of the session's shape. Blocks.
    ///
    /// # Errors
    /// As [`Context::forward_backward`](super::Context::forward_backward), and [`Error::Length`] for another shape.
    pub fn forward_backward(&mut self, batch: &Batch<'_>, upstream: Upstream<'_>) -> Result<Output> {
        pollster::block_on(self.forward_backward_async(batch, upstream))
    }

    /// [`forward_backward`](Self::forward_backward) without blocking on the web.
    ///
    /// # Errors
    /// As [`forward_backward`](Self::forward_backward).
    pub async fn forward_backward_async(
        &mut self,
        batch: &Batch<'_>,
        upstream: Upstream<'_>,
    ) -> Result<Output> {
        self.upload(batch)?;
        let Some(buffer) = &self.upstream else {
            return Err(Error::Unexpected {
                what: "a backward pass",
                planned: "for loss and gradient together",
            });
        };
        let view = match upstream {
            Upstream::One => None,
            Upstream::Scalar(value) => {
                self.write(buffer, bytemuck::bytes_of(&value))?;
                Some(View::new(buffer, 0, 4))
            }
            Upstream::PerRow(values) => {
                self.check_length("the upstream gradient", values.len(), self.plan.extent.rows as usize)?;
                self.write(buffer, bytemuck::cast_slice(values))?;
                Some(View::new(buffer, 0, 4 * values.len() as u64))
            }
        };
        let mut encoder = self.encoder();
        let class_scale = self.class_scale_gradient.as_ref().map(View::whole);
        let inputs = self.inputs();
        self.plan.encode_forward(&mut encoder, &inputs, &self.outputs())?;
        self.plan.encode_backward(&mut encoder, &inputs, view, None, class_scale)?;
        self.finish(encoder).await
    }

    fn check_length(&self, what: &'static str, found: usize, expected: usize) -> Result<()> {
        match found == expected {
            true => Ok(()),
            false => Err(Error::Length { what, expected: expected as u64, found: found as u64 }),
        }
    }

    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<()> {
        self.plan.kernels.scoped("uploading a batch", || {
            self.plan.kernels.queue.write_buffer(buffer, 0, bytes);
            Ok(())
        })
    }

    fn upload(&self, batch: &Batch<'_>) -> Result<()> {
        batch.check(&self.spec)?;
        let request = &self.plan.request;
        self.check_length("classes", batch.classes, request.classes)?;
        self.check_length("rows", batch.rows(), request.rows)?;
        if batch.targets.kind() != request.targets {
            return Err(Error::Unexpected { what: "another kind of targets", planned: "for its own kind" });
        }
        let mut parts: Vec<(Option<&wgpu::Buffer>, &[u8])> =
            vec![(Some(&self.logits), bytemuck::cast_slice(batch.logits))];
        let mut targets = self.targets.iter();
        match batch.targets {
            Targets::Hard(labels) => parts.push((targets.next(), bytemuck::cast_slice(labels))),
            Targets::Mixed { first, second, lambda } => {
                parts.push((targets.next(), bytemuck::cast_slice(first)));
                parts.push((targets.next(), bytemuck::cast_slice(second)));
                parts.push((targets.next(), bytemuck::cast_slice(lambda)));
            }
            Targets::Soft(soft) | Targets::MultiHot(soft) => {
                parts.push((targets.next(), bytemuck::cast_slice(soft)));
            }
        }
        let optional = [
            ("row weights", &self.row_weights, batch.row_weights),
            ("feature norms", &self.feature_norms, batch.feature_norms),
            ("gates", &self.gates, batch.gates),
        ];
        for (what, buffer, values) in optional {
            match (buffer, values) {
                (Some(buffer), Some(values)) => parts.push((Some(buffer), bytemuck::cast_slice(values))),
                (None, Some(_)) => return Err(Error::Unexpected { what, planned: "without them" }),
                (Some(_), None) => return Err(Error::Missing { what, needed_by: "the session" }),
                (None, None) => {}
            }
        }
        for (buffer, bytes) in parts {
            if let Some(buffer) = buffer.filter(|_| !bytes.is_empty()) {
                self.write(buffer, bytes)?;
            }
        }
        Ok(())
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.plan.kernels.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// A view of the first `elements` of a buffer, which has at least one.
    fn part<'a>(&self, buffer: &'a wgpu::Buffer, elements: u64) -> View<'a> {
        View::new(buffer, 0, 4 * elements)
    }

    fn inputs(&self) -> Inputs<'_> {
        let rows = u64::from(self.plan.extent.rows);
        let dense = rows * u64::from(self.plan.extent.classes);
        let targets = match (self.plan.request.targets, self.targets.as_slice()) {
            (TargetKind::Mixed, [first, second, lambda]) => TargetViews::Mixed {
                first: self.part(first, rows),
                second: self.part(second, rows),
                lambda: self.part(lambda, rows),
            },
            (TargetKind::Soft, [soft, ..]) => TargetViews::Soft(self.part(soft, dense)),
            (_, [labels, ..]) => TargetViews::Hard(self.part(labels, rows)),
            (_, []) => TargetViews::Hard(self.part(&self.rows, 0)),
        };
        Inputs {
            logits: self.part(&self.logits, dense),
            targets,
            row_weights: self.row_weights.as_ref().map(|buffer| self.part(buffer, rows)),
            feature_norms: self.feature_norms.as_ref().map(|buffer| self.part(buffer, rows)),
            gates: self.gates.as_ref().map(|buffer| self.part(buffer, dense)),
        }
    }

    fn outputs(&self) -> Outputs<'_> {
        let bytes = 4 * u64::from(self.plan.extent.rows);
        let field = |index: u64| Some(View::new(&self.rows, index * bytes, bytes));
        Outputs {
            loss: Some(View::new(&self.rows, 4 * bytes, 4)),
            row_loss: field(0),
            log_sum_exp: field(1),
            target_probability: field(2),
            argmax: field(3).filter(|_| self.plan.request.argmax),
        }
    }

    async fn finish(&self, encoder: wgpu::CommandEncoder) -> Result<Output> {
        let kernels = &self.plan.kernels;
        kernels.scoped("submitting a batch", || {
            kernels.queue.submit([encoder.finish()]);
            Ok(())
        })?;
        let rows = 4 * u64::from(self.plan.extent.rows);
        let mut ranges = vec![
            (&self.plan.memory.scalars, 0, self.plan.memory.scalars.size()),
            (&self.rows, 0, 4 * rows + 4),
            (&self.logits, 0, rows * u64::from(self.plan.extent.classes)),
        ];
        if let Some(buffer) = &self.class_scale_gradient {
            ranges.push((buffer, 0, buffer.size()));
        }
        let parts = readback::read(kernels, &ranges).await?;
        let mut parts = parts.iter().map(Vec::as_slice);
        let mut next = || parts.next().unwrap_or(&[]);
        self.plan.check_status(&readback::words(next()))?;
        let outputs = next();
        let size = usize::try_from(rows).unwrap_or(0);
        let field = |index: usize| outputs.get(index * size..(index + 1) * size).unwrap_or(&[]);
        let gradient = readback::words(next());
        Ok(Output {
            loss: readback::words::<f32>(outputs.get(4 * size..).unwrap_or(&[]))
                .first()
                .copied()
                .unwrap_or(0.0),
            row_loss: readback::words(field(0)),
            log_sum_exp: readback::words(field(1)),
            target_probability: readback::words(field(2)),
            argmax: readback::words(field(3)),
            gradient,
            class_scale_gradient: self.class_scale_gradient.is_some().then(|| readback::words(next())),
            counts: match self.plan.counts() {
                Some(counts) => Some(counts.read_async().await?),
                None => None,
            },
        })
    }
}
