//! A plan with buffers of its own, for batches in slices.

use super::blocks::{Blocks, blocks_for, upload};
use super::kernels::Kernels;
use super::plan::{Plan, storage};
use super::readback;
use super::request::{Mode, PlanRequest};
use super::shader::Storage;
use super::view::{Inputs, MatrixView, Outputs, TargetViews, View};
use crate::batch::{Batch, TargetKind, Targets, Upstream};
use crate::element::Element;
use crate::loss::Loss;
use crate::statistics::GradientSums;
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
    /// `logsumexp(u)`, `[N]`; NaN for losses without one softmax over the row, empty for sigmoids.
    pub log_sum_exp: Vec<f32>,
    /// The target's probability under `u`, `[N]`; the first label's for two, NaN for soft targets; for a grouped loss the
    /// product over the label's own segments; empty for sigmoids.
    pub target_probability: Vec<f32>,
    /// The class of the largest logit, `[N]`.
    pub argmax: Vec<u32>,
    /// The gradient in the class scales, `[K]`, for a spec that has them.
    pub class_scale_gradient: Option<Vec<f32>>,
    /// The cumulative class counts after the batch, `[K]`, for a loss with seesaw.
    pub counts: Option<Vec<u64>>,
    /// The accumulated gradients after the batch, `[K]` each, for a loss with gradient balance.
    pub gradient_sums: Option<GradientSums>,
}

/// A plan with buffers for batches in host memory, all of one shape. The gradient is made in place, or, for range loss,
/// whose rows meet each other, in a buffer of its own.
///
/// Logits go to the device in the request's element type, rounded to nearest, and the gradient comes back widened to
/// f32. Matrices that are larger than a buffer may be are laid over several.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    loss: Loss<'static>,
    logits: Blocks,
    targets: Vec<wgpu::Buffer>,
    row_weights: Option<wgpu::Buffer>,
    feature_norms: Option<wgpu::Buffer>,
    /// Soft or multi-hot targets.
    dense: Option<Blocks>,
    /// The teacher's logits.
    teacher: Option<Blocks>,
    /// Absent in place.
    gradient: Option<Blocks>,
    /// Given gates, or weights of elements.
    gates: Option<Blocks>,
    upstream: Option<wgpu::Buffer>,
    class_scale_gradient: Option<wgpu::Buffer>,
    rows: wgpu::Buffer,
}

/// The blocks of a session's matrices as views.
struct Views<'a> {
    logits: Vec<View<'a>>,
    /// Soft targets, or given gates.
    dense: Option<Vec<View<'a>>>,
    gates: Option<Vec<View<'a>>>,
    teacher: Option<Vec<View<'a>>>,
    gradient: Option<Vec<View<'a>>>,
}

impl Views<'_> {
    /// The gradient, where it has a place of its own.
    fn gradient(&self) -> Option<MatrixView<'_>> {
        self.gradient.as_deref().map(MatrixView::Blocks)
    }
}

/// Whether a gradient cannot take the place of what it is made from: other rows read it.
fn needs_own_gradient(loss: &Loss<'_>) -> bool {
    matches!(loss, Loss::Range(_))
}

impl Session {
    /// A session for a request; its storage is taken to be in place, its rows contiguous.
    ///
    /// # Errors
    /// As [`Kernels::plan`].
    pub fn of<'a>(kernels: &Kernels, loss: impl Into<Loss<'a>>, request: &PlanRequest) -> Result<Self> {
        let loss = loss.into();
        let own_gradient = needs_own_gradient(&loss);
        let mut request = request.clone().with_storage(match own_gradient {
            true => Storage::Separate,
            false => Storage::InPlace,
        });
        request.gradient = request.logits;
        request.logits_stride = request.classes;
        request.gradient_stride = request.classes;
        if request.shard.is_some() {
            return Err(Error::Unexpected { what: "a shard", planned: "for whole batches" });
        }
        let teacher = loss.teacher_columns(request.classes);
        let dense = matches!(request.targets, TargetKind::Soft | TargetKind::MultiHot);
        let gates = loss.takes_gates();
        let blocks = blocks_for(kernels, &request, dense || gates || teacher.is_some())?;
        if blocks.len() > 1 {
            request.row_blocks = blocks.clone();
        }
        let plan = kernels.plan(&loss, &request)?;
        let (rows, classes) = (request.rows as u64, request.classes as u64);
        kernels.scoped("a session's buffers", || {
            let buffer = |label: &str, elements: u64| storage(kernels, label, 4 * elements.max(1));
            Ok(Self {
                logits: Blocks::new(kernels, "logits", request.logits, classes, &blocks),
                targets: match request.targets {
                    TargetKind::Hard => vec![buffer("labels", rows)],
                    TargetKind::Mixed => {
                        ["first labels", "second labels", "lambda"].map(|label| buffer(label, rows)).to_vec()
                    }
                    TargetKind::Soft | TargetKind::MultiHot => Vec::new(),
                },
                row_weights: request.row_weights.then(|| buffer("row weights", rows)),
                feature_norms: loss.takes_feature_norms().then(|| buffer("feature norms", rows)),
                dense: dense.then(|| Blocks::new(kernels, "targets", Element::F32, classes, &blocks)),
                gates: gates.then(|| {
                    let columns = loss.gate_columns(request.classes) as u64;
                    Blocks::new(kernels, "gates", Element::F32, columns, &blocks)
                }),
                teacher: teacher.map(|columns| {
                    Blocks::new(kernels, "teacher logits", request.teacher_element(), columns as u64, &blocks)
                }),
                gradient: own_gradient
                    .then(|| Blocks::new(kernels, "the gradient", request.gradient, classes, &blocks)),
                upstream: (request.mode == Mode::ForwardBackward).then(|| buffer("upstream", rows)),
                class_scale_gradient: request
                    .class_scale_gradient
                    .then(|| buffer("the class scales' gradient", classes)),
                // Four fields per row, then the loss.
                rows: buffer("row outputs", 4 * rows + 1),
                loss: loss.into_owned(),
                plan,
            })
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Replaces the numbers of the loss; see [`Plan::update`].
    ///
    /// # Errors
    /// As [`Plan::update`].
    pub fn update<'a>(&mut self, loss: impl Into<Loss<'a>>) -> Result<()> {
        let loss = loss.into();
        if loss.takes_feature_norms() != self.feature_norms.is_some() {
            let what = "a spec with or without influence balancing";
            return Err(Error::Unexpected { what, planned: "the other way" });
        }
        self.plan.update(&loss)?;
        self.loss = loss.into_owned();
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
        let matrices = self.matrices();
        let inputs = self.inputs(&matrices);
        let gradient = matrices.gradient();
        self.plan.encode_loss_and_grad(&mut encoder, &inputs, gradient, class_scale, &self.outputs())?;
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
                self.check_length("the upstream gradient", values.len(), self.plan.core.request.rows)?;
                self.write(buffer, bytemuck::cast_slice(values))?;
                Some(View::new(buffer, 0, 4 * values.len() as u64))
            }
        };
        let mut encoder = self.encoder();
        let class_scale = self.class_scale_gradient.as_ref().map(View::whole);
        let matrices = self.matrices();
        let inputs = self.inputs(&matrices);
        self.plan.encode_forward(&mut encoder, &inputs, &self.outputs())?;
        self.plan.encode_backward(&mut encoder, &inputs, view, matrices.gradient(), class_scale)?;
        self.finish(encoder).await
    }

    fn check_length(&self, what: &'static str, found: usize, expected: usize) -> Result<()> {
        match found == expected {
            true => Ok(()),
            false => Err(Error::Length { what, expected: expected as u64, found: found as u64 }),
        }
    }

    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<()> {
        upload(&self.plan.core.kernels, buffer, bytes)
    }

    fn upload(&self, batch: &Batch<'_>) -> Result<()> {
        self.loss.check_batch(batch)?;
        let request = &self.plan.core.request;
        self.check_length("classes", batch.classes, request.classes)?;
        self.check_length("rows", batch.rows(), request.rows)?;
        if batch.targets.kind() != request.targets {
            return Err(Error::Unexpected { what: "another kind of targets", planned: "for its own kind" });
        }
        let mut parts: Vec<(Option<&wgpu::Buffer>, &[u8])> = Vec::new();
        let mut targets = self.targets.iter();
        let mut dense = None;
        match batch.targets {
            Targets::Hard(labels) => parts.push((targets.next(), bytemuck::cast_slice(labels))),
            Targets::Mixed { first, second, lambda } => {
                parts.push((targets.next(), bytemuck::cast_slice(first)));
                parts.push((targets.next(), bytemuck::cast_slice(second)));
                parts.push((targets.next(), bytemuck::cast_slice(lambda)));
            }
            Targets::Soft(soft) | Targets::MultiHot(soft) => dense = Some(soft),
        }
        let optional = [
            ("row weights", &self.row_weights, batch.row_weights),
            ("feature norms", &self.feature_norms, batch.feature_norms),
        ];
        for (what, buffer, values) in optional {
            match (buffer, values) {
                (Some(buffer), Some(values)) => parts.push((Some(buffer), bytemuck::cast_slice(values))),
                (None, Some(_)) => return Err(Error::Unexpected { what, planned: "without them" }),
                (Some(_), None) => return Err(Error::Missing { what, needed_by: "the session" }),
                (None, None) => {}
            }
        }
        let matrices = [("dense targets", &self.dense, dense), ("gates", &self.gates, batch.gates)];
        for (what, blocks, values) in matrices {
            match (blocks, values) {
                (Some(blocks), Some(values)) => blocks.write(&self.plan.core.kernels, values)?,
                (None, Some(_)) => return Err(Error::Unexpected { what, planned: "without them" }),
                (Some(_), None) => return Err(Error::Missing { what, needed_by: "the session" }),
                (None, None) => {}
            }
        }
        if let (Some(blocks), Some(values)) = (&self.teacher, batch.teacher) {
            blocks.write(&self.plan.core.kernels, values)?;
        }
        self.logits.write(&self.plan.core.kernels, batch.logits)?;
        for (buffer, bytes) in parts {
            if let Some(buffer) = buffer.filter(|_| !bytes.is_empty()) {
                self.write(buffer, bytes)?;
            }
        }
        Ok(())
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.plan.core.kernels.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// A view of the first `elements` of a buffer, which has at least one.
    fn part<'a>(&self, buffer: &'a wgpu::Buffer, elements: u64) -> View<'a> {
        View::new(buffer, 0, 4 * elements)
    }

    /// The blocks of every matrix.
    fn matrices(&self) -> Views<'_> {
        Views {
            logits: self.logits.views(),
            dense: self.dense.as_ref().map(Blocks::views),
            gates: self.gates.as_ref().map(Blocks::views),
            teacher: self.teacher.as_ref().map(Blocks::views),
            gradient: self.gradient.as_ref().map(Blocks::views),
        }
    }

    fn inputs<'a>(&'a self, matrices: &'a Views<'a>) -> Inputs<'a> {
        let dense = matrices.dense.as_deref().unwrap_or(&[]);
        let rows = self.plan.core.extent.rows;
        let targets = match (self.plan.core.request.targets, self.targets.as_slice()) {
            (TargetKind::Mixed, [first, second, lambda]) => TargetViews::Mixed {
                first: self.part(first, rows),
                second: self.part(second, rows),
                lambda: self.part(lambda, rows),
            },
            (TargetKind::Hard, [labels, ..]) => TargetViews::Hard(self.part(labels, rows)),
            (TargetKind::MultiHot, _) => TargetViews::MultiHot(MatrixView::Blocks(dense)),
            _ => TargetViews::Soft(MatrixView::Blocks(dense)),
        };
        Inputs {
            logits: MatrixView::Blocks(&matrices.logits),
            targets,
            row_weights: self.row_weights.as_ref().map(|buffer| self.part(buffer, rows)),
            feature_norms: self.feature_norms.as_ref().map(|buffer| self.part(buffer, rows)),
            gates: matrices.gates.as_deref().map(MatrixView::Blocks),
            teacher: matrices.teacher.as_deref().map(MatrixView::Blocks),
        }
    }

    fn outputs(&self) -> Outputs<'_> {
        let bytes = 4 * self.plan.core.extent.rows;
        let field = |index: u64| Some(View::new(&self.rows, index * bytes, bytes));
        Outputs {
            loss: Some(View::new(&self.rows, 4 * bytes, 4)),
            row_loss: field(0),
            log_sum_exp: field(1).filter(|_| self.loss.has_statistics()),
            target_probability: field(2).filter(|_| self.loss.has_statistics()),
            argmax: field(3).filter(|_| self.plan.core.request.argmax),
        }
    }

    async fn finish(&self, encoder: wgpu::CommandEncoder) -> Result<Output> {
        let kernels = &self.plan.core.kernels;
        kernels.scoped("submitting a batch", || {
            kernels.queue.submit([encoder.finish()]);
            Ok(())
        })?;
        let rows = 4 * self.plan.core.extent.rows;
        let mut ranges = vec![
            (&self.plan.core.memory.scalars, 0, self.plan.core.memory.scalars.size()),
            (&self.rows, 0, 4 * rows + 4),
        ];
        let result = self.gradient.as_ref().unwrap_or(&self.logits);
        let blocks = result.views();
        ranges.extend(blocks.iter().map(|view| (view.buffer, 0, view.size)));
        if let Some(buffer) = &self.class_scale_gradient {
            ranges.push((buffer, 0, buffer.size()));
        }
        let parts = readback::read(kernels, &ranges).await?;
        let mut parts = parts.iter().map(Vec::as_slice);
        let mut next = || parts.next().unwrap_or(&[]);
        self.plan.core.check_status(&readback::words(next()))?;
        let outputs = next();
        let size = usize::try_from(rows).unwrap_or(0);
        let field = |index: usize| outputs.get(index * size..(index + 1) * size).unwrap_or(&[]);
        let statistics = self.loss.has_statistics();
        let gradient = result.decode(std::iter::repeat_with(&mut next));
        Ok(Output {
            loss: readback::words::<f32>(outputs.get(4 * size..).unwrap_or(&[]))
                .first()
                .copied()
                .unwrap_or(0.0),
            row_loss: readback::words(field(0)),
            log_sum_exp: if statistics { readback::words(field(1)) } else { Vec::new() },
            target_probability: if statistics { readback::words(field(2)) } else { Vec::new() },
            argmax: readback::words(field(3)),
            gradient,
            class_scale_gradient: self.class_scale_gradient.is_some().then(|| readback::words(next())),
            counts: match self.plan.counts() {
                Some(counts) => Some(counts.read_async().await?),
                None => None,
            },
            gradient_sums: match self.plan.gradient_sums() {
                Some(sums) => Some(sums.read_async().await?),
                None => None,
            },
        })
    }
}
