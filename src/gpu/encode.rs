//! Recording a plan's passes into the caller's encoder: views are checked, nothing is decided or allocated.

use super::plan::{Memory, Plan, SCALAR_LOSS, Step};
use super::request::Mode;
use super::shader::{Driver, Storage};
use super::view::{Inputs, Outputs, TargetViews, View};
use crate::batch::TargetKind;
use crate::{Error, Result};
use wgpu::BufferUsages;

/// The views of one pass over the logits, resolved.
#[derive(Debug, Clone, Copy, Default)]
struct Bound<'a> {
    labels: Option<View<'a>>,
    second_labels: Option<View<'a>>,
    lambda: Option<View<'a>>,
    row_weights: Option<View<'a>>,
    feature_norms: Option<View<'a>>,
    logits: Option<View<'a>>,
    dense: Option<View<'a>>,
    gradient: Option<View<'a>>,
    upstream: Option<View<'a>>,
}

impl Plan {
    /// Records loss and gradient. `gradient` is `None` for a plan in place; `class_scale_gradient` (`[K]`, f32) is
    /// written where the plan was asked for it.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for a plan of another mode or views it has no use for; [`Error::Missing`],
    /// [`Error::Length`], [`Error::Alignment`], [`Error::Overlap`], [`Error::BufferUsage`] for views;
    /// [`Error::Device`], [`Error::DeviceLost`] for buffers of another or a lost device.
    pub fn encode_loss_and_grad(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &Inputs<'_>,
        gradient: Option<View<'_>>,
        class_scale_gradient: Option<View<'_>>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        self.expect_mode(Mode::LossAndGrad)?;
        let mut bound = self.check_inputs(inputs)?;
        self.check_outputs(outputs)?;
        self.check_gradient(&mut bound, gradient)?;
        self.check_class_scale(&bound, class_scale_gradient)?;
        check_apart(&bound, class_scale_gradient, outputs)?;
        self.kernels.scoped("loss and gradient", || {
            {
                let mut pass = begin(encoder, "longtail loss and gradient");
                self.record_forward(&mut pass, &bound);
                self.record_backward(&mut pass, &bound, class_scale_gradient);
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
        let bound = self.check_inputs(inputs)?;
        self.check_outputs(outputs)?;
        check_apart(&bound, None, outputs)?;
        self.kernels.scoped("the forward pass", || {
            {
                let mut pass = begin(encoder, "longtail forward");
                self.record_forward(&mut pass, &bound);
            }
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
        gradient: Option<View<'_>>,
        class_scale_gradient: Option<View<'_>>,
    ) -> Result<()> {
        self.expect_mode(Mode::ForwardBackward)?;
        let mut bound = self.check_inputs(inputs)?;
        if let Some(view) = upstream {
            let bytes = if view.size == 4 { 4 } else { 4 * u64::from(self.extent.rows) };
            view.check("the upstream gradient", bytes, self.alignment(), BufferUsages::STORAGE)?;
            bound.upstream = Some(view);
        }
        self.check_gradient(&mut bound, gradient)?;
        self.check_class_scale(&bound, class_scale_gradient)?;
        self.kernels.scoped("the backward pass", || {
            let mut pass = begin(encoder, "longtail backward");
            self.record_backward(&mut pass, &bound, class_scale_gradient);
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

    fn alignment(&self) -> u64 {
        u64::from(self.kernels.device.limits().min_storage_buffer_offset_alignment).max(4)
    }

    /// Bytes of a strided matrix.
    fn matrix(&self, stride: u32) -> u64 {
        match u64::from(self.extent.rows) {
            0 => 0,
            rows => 4 * ((rows - 1) * u64::from(stride) + u64::from(self.extent.classes)),
        }
    }

    fn check_inputs<'a>(&self, inputs: &Inputs<'a>) -> Result<Bound<'a>> {
        let alignment = self.alignment();
        let per_row = 4 * u64::from(self.extent.rows);
        let dense_bytes = per_row * u64::from(self.extent.classes);
        let check = |what, view: View<'a>, bytes| {
            view.check(what, bytes, alignment, BufferUsages::STORAGE).map(|()| Some(view))
        };
        let optional =
            |what, needed_by, view: Option<View<'a>>, wanted: bool, bytes, planned| match (view, wanted) {
                (Some(view), true) => check(what, view, bytes),
                (None, true) => Err(Error::Missing { what, needed_by }),
                (Some(_), false) => Err(Error::Unexpected { what, planned }),
                (None, false) => Ok(None),
            };
        let mut bound = Bound {
            logits: check("logits", inputs.logits, self.matrix(self.extent.logits_stride))?,
            row_weights: optional(
                "row weights",
                "the plan",
                inputs.row_weights,
                self.request.row_weights,
                per_row,
                "without row weights",
            )?,
            feature_norms: optional(
                "feature norms",
                "the influence-balanced loss",
                inputs.feature_norms,
                self.influence,
                per_row,
                "without influence balancing",
            )?,
            dense: optional(
                "gates",
                "the gate's source `Given`",
                inputs.gates,
                self.terms.gate_given,
                dense_bytes,
                "without given gates",
            )?,
            ..Bound::default()
        };
        match (inputs.targets, self.request.targets) {
            (TargetViews::Hard(labels), TargetKind::Hard) => bound.labels = check("labels", labels, per_row)?,
            (TargetViews::Mixed { first, second, lambda }, TargetKind::Mixed) => {
                bound.labels = check("first labels", first, per_row)?;
                bound.second_labels = check("second labels", second, per_row)?;
                bound.lambda = check("lambda", lambda, per_row)?;
            }
            (TargetViews::Soft(targets), TargetKind::Soft) => {
                bound.dense = check("soft targets", targets, dense_bytes)?;
            }
            _ => {
                return Err(Error::Unexpected {
                    what: "another kind of targets",
                    planned: "for its own kind",
                });
            }
        }
        Ok(bound)
    }

    fn check_outputs(&self, outputs: &Outputs<'_>) -> Result<()> {
        let per_row = 4 * u64::from(self.extent.rows);
        for (what, view, bytes) in outputs.list(per_row) {
            if let Some(view) = view {
                view.check(what, bytes, 4, BufferUsages::COPY_DST)?;
            }
        }
        match (outputs.argmax, self.request.argmax) {
            (Some(_), false) => Err(Error::Unexpected { what: "argmax", planned: "without argmax" }),
            _ => Ok(()),
        }
    }

    /// Where the gradient goes, and whether the plan's storage allows it.
    fn check_gradient<'a>(&self, bound: &mut Bound<'a>, gradient: Option<View<'a>>) -> Result<()> {
        if self.request.storage == Storage::InPlace {
            return match gradient {
                None => {
                    bound.logits.map_or(Ok(()), |logits| self.check_written("the gradient", logits, bound))
                }
                Some(_) => Err(Error::Unexpected { what: "a gradient view", planned: "in place" }),
            };
        }
        let Some(view) = gradient else {
            return Err(Error::Missing { what: "the gradient", needed_by: "a plan that is not in place" });
        };
        let bytes = self.matrix(self.extent.gradient_stride);
        view.check("the gradient", bytes, self.alignment(), BufferUsages::STORAGE)?;
        self.check_written("the gradient", view, bound)?;
        bound.gradient = Some(view);
        Ok(())
    }

    fn check_class_scale(&self, bound: &Bound<'_>, view: Option<View<'_>>) -> Result<()> {
        match (view, self.request.class_scale_gradient) {
            (Some(view), true) => {
                let bytes = 4 * u64::from(self.extent.classes);
                view.check("the class scales' gradient", bytes, self.alignment(), BufferUsages::STORAGE)?;
                self.check_written("the class scales' gradient", view, bound)
            }
            (None, true) => Err(Error::Missing { what: "the class scales' gradient", needed_by: "the plan" }),
            (Some(_), false) => Err(Error::Unexpected {
                what: "a view for the class scales' gradient",
                planned: "without that gradient",
            }),
            (None, false) => Ok(()),
        }
    }

    /// A view that kernels over the logits write, against every other view of the pass.
    fn check_written(&self, what: &'static str, view: View<'_>, bound: &Bound<'_>) -> Result<()> {
        // What the same kernel reads cannot even share the buffer, unless the plan is made for that.
        let in_place = self.request.storage == Storage::InPlace;
        let read = [
            ("logits", bound.logits.filter(|logits| !(in_place && *logits == view))),
            ("dense targets or gates", bound.dense),
            ("the upstream gradient", bound.upstream),
        ];
        for (other, read) in read {
            let Some(read) = read else { continue };
            if !view.overlaps(&read)
                && view.buffer == read.buffer
                && self.request.storage == Storage::Separate
            {
                let cure = "views in one buffer need a plan with `Storage::Shared`";
                return Err(Error::Overlap { first: what, second: other, cure });
            }
        }
        let rest = [
            ("labels", bound.labels),
            ("second labels", bound.second_labels),
            ("lambda", bound.lambda),
            ("row weights", bound.row_weights),
            ("feature norms", bound.feature_norms),
            ("the gradient", bound.gradient),
        ];
        for (other, read) in read.into_iter().chain(rest) {
            if read.is_some_and(|read| view.overlaps(&read)) {
                let cure = "give them bytes of their own, or plan in place (`Storage::InPlace`)";
                return Err(Error::Overlap { first: what, second: other, cure });
            }
        }
        Ok(())
    }

    /// Everything up to the finished loss.
    fn record_forward(&self, pass: &mut wgpu::ComputePass<'_>, bound: &Bound<'_>) {
        let steps = &self.steps;
        if self.extent.rows == 0 {
            self.dispatch(pass, &steps.finish, bound, None);
            return;
        }
        if let Some(step) = steps.count_labels.as_ref().filter(|_| self.count_batch) {
            self.dispatch(pass, step, bound, None);
        }
        if let Some(step) = &steps.refresh_counts {
            self.dispatch(pass, step, bound, None);
        }
        self.dispatch(pass, &steps.prepare, bound, None);
        if self.label_denominator {
            self.dispatch(pass, &steps.denominator, bound, None);
        }
        self.dispatch(pass, &steps.row, bound, None);
        self.dispatch(pass, &steps.finish, bound, None);
    }

    /// What follows a forward pass; nothing for a fused plan.
    fn record_backward(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        bound: &Bound<'_>,
        class_scale: Option<View<'_>>,
    ) {
        // The class scales first: in place, the backward pass leaves no logits.
        if let Some(step) = &self.steps.class_scale {
            self.dispatch(pass, step, bound, class_scale);
        }
        if let (Some(step), false) = (&self.steps.backward, self.extent.rows == 0) {
            self.dispatch(pass, step, bound, None);
        }
    }

    fn dispatch(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        step: &Step,
        bound: &Bound<'_>,
        written: Option<View<'_>>,
    ) {
        let Memory { params, scalars, rows, saved, classes, one } = &self.memory;
        let counts = self.counts.as_ref().map_or(classes, |counts| &counts.buffer);
        let entries: Vec<_> = step
            .key
            .bindings()
            .into_iter()
            .filter_map(|binding| {
                // Inputs that are absent, or empty, are bound to the plan's one; the kernels do not look at it.
                let given = |view| or_one(view, one);
                let resource = match binding.name {
                    "params" => View::whole(params).binding(),
                    "scalars" => View::whole(scalars).binding(),
                    "rows_in" | "rows_out" => View::whole(rows).binding(),
                    "saved" => View::whole(saved).binding(),
                    "classes" => View::whole(classes).binding(),
                    "counts" => View::whole(counts).binding(),
                    "labels" => given(bound.labels),
                    "second_labels" => given(bound.second_labels),
                    "lambdas" => given(bound.lambda),
                    "row_weights" => given(bound.row_weights),
                    "feature_norms" => given(bound.feature_norms),
                    "logits" => given(bound.logits),
                    "gradient" if step.key.driver == Driver::ClassScaleGradient => given(written),
                    "gradient" => given(bound.gradient),
                    "dense" => given(bound.dense),
                    _ => given(bound.upstream),
                };
                let resource = wgpu::BindingResource::Buffer(resource?);
                Some(wgpu::BindGroupEntry { binding: binding.number, resource })
            })
            .collect();
        let group = self.kernels.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &step.pipeline.layout,
            entries: &entries,
        });
        pass.set_pipeline(&step.pipeline.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(step.grid.0, step.grid.1, 1);
    }

    fn copy_outputs(&self, encoder: &mut wgpu::CommandEncoder, outputs: &Outputs<'_>) {
        let per_row = 4 * u64::from(self.extent.rows);
        for (field, (_, view, bytes)) in (0u64..).zip(outputs.list(per_row)) {
            let Some(view) = view.filter(|_| bytes > 0) else { continue };
            // The loss is a scalar; the fields of `saved` follow in the order of the list.
            let (source, offset) = match field {
                0 => (&self.memory.scalars, 4 * SCALAR_LOSS),
                field => (&self.memory.saved, (field - 1) * per_row),
            };
            encoder.copy_buffer_to_buffer(source, offset, view.buffer, view.offset, bytes);
        }
    }
}

/// The view, or the plan's one where there is none or an empty one.
fn or_one<'a>(view: Option<View<'a>>, one: &'a wgpu::Buffer) -> Option<wgpu::BufferBinding<'a>> {
    view.and_then(|view| view.binding()).or_else(|| View::whole(one).binding())
}

fn begin<'a>(encoder: &'a mut wgpu::CommandEncoder, label: &str) -> wgpu::ComputePass<'a> {
    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None })
}

impl<'a> Outputs<'a> {
    /// Name, view and bytes of each, in the order in which they are kept.
    fn list(&self, per_row: u64) -> [(&'static str, Option<View<'a>>, u64); 5] {
        [
            ("the loss", self.loss, 4),
            ("row losses", self.row_loss, per_row),
            ("log-sum-exp", self.log_sum_exp, per_row),
            ("target probabilities", self.target_probability, per_row),
            ("argmax", self.argmax, per_row),
        ]
    }
}

/// Outputs share no bytes with each other, the gradients or what is read.
fn check_apart(bound: &Bound<'_>, class_scale: Option<View<'_>>, outputs: &Outputs<'_>) -> Result<()> {
    let cure = "give each output bytes of its own";
    let list = outputs.list(0);
    let others = [
        ("logits", bound.logits),
        ("labels", bound.labels),
        ("second labels", bound.second_labels),
        ("lambda", bound.lambda),
        ("row weights", bound.row_weights),
        ("feature norms", bound.feature_norms),
        ("dense targets or gates", bound.dense),
        ("the gradient", bound.gradient),
        ("the class scales' gradient", class_scale),
    ];
    for (index, (first, view, _)) in list.iter().enumerate() {
        let Some(view) = view else { continue };
        let rest = list.iter().skip(index + 1).map(|&(name, view, _)| (name, view));
        for (second, other) in rest.chain(others) {
            if other.is_some_and(|other| view.overlaps(&other)) {
                return Err(Error::Overlap { first, second, cure });
            }
        }
    }
    Ok(())
}
