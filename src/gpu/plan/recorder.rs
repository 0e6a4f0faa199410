//! From windows to dispatches.

use super::views::Bound;
use crate::gpu::plan::extent::Window;
use crate::gpu::plan::memory::{PARAMS_STEP, SCALAR_LOSS};
use crate::gpu::plan::steps::{RowSteps, SplitSteps, Step};
use crate::gpu::plan::{Plan, ROW_ALIGNMENT};
use crate::gpu::shader::{Access, Driver, SAVED_OUTPUTS};
use crate::gpu::view::{MatrixView, Outputs, View};
use crate::gpu::windows::Part;

/// One compute pass over a plan's windows.
pub(super) struct Recorder<'a> {
    plan: &'a Plan,
    bound: &'a Bound<'a>,
    pass: wgpu::ComputePass<'a>,
}

impl<'a> Recorder<'a> {
    pub(super) fn begin(
        plan: &'a Plan,
        encoder: &'a mut wgpu::CommandEncoder,
        bound: &'a Bound<'a>,
        label: &str,
    ) -> Self {
        let pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None });
        Self { plan, bound, pass }
    }

    /// Everything up to the finished loss.
    pub(super) fn forward(&mut self) {
        self.start();
        match &self.plan.steps.rows {
            RowSteps::Whole(step) => {
                self.denominator();
                self.over_windows(step);
                if self.plan.is_fused() {
                    self.stitch();
                }
            }
            RowSteps::Split(split) => {
                self.labels(split);
                self.threshold(split);
                self.over_windows(&split.partial);
                self.denominator();
                self.over_rows(&split.close);
            }
        }
        self.finish();
    }

    /// Counts, labels and the gates' key.
    pub(super) fn start(&mut self) {
        let steps = &self.plan.steps;
        if let Some(step) = steps.count_labels.as_ref().filter(|_| self.plan.count_batch) {
            self.over_windows(step);
        }
        if let Some(step) = &steps.refresh_counts {
            self.over_classes(step);
        }
        self.over_windows(&steps.prepare);
    }

    /// What rows that are split know of their labels, and the raw mass where seesaw's floor needs it.
    pub(super) fn labels(&mut self, split: &SplitSteps) {
        if let Some(step) = &split.label_logits {
            self.over_windows(step);
        }
        if let Some(step) = &split.raw {
            self.over_windows(step);
        }
    }

    pub(super) fn threshold(&mut self, split: &SplitSteps) {
        if let Some(step) = &split.threshold {
            self.over_rows(step);
        }
    }

    pub(super) fn denominator(&mut self) {
        if !self.plan.label_denominator {
            return;
        }
        if let Some(step) = &self.plan.steps.share_sums {
            self.over_rows(step);
        }
        self.once(&self.plan.steps.denominator);
    }

    pub(super) fn finish(&mut self) {
        if let Some(step) = &self.plan.steps.loss_sums {
            self.over_rows(step);
        }
        self.once(&self.plan.steps.finish);
    }

    /// What follows a forward pass; nothing for a fused plan.
    pub(super) fn backward(&mut self) {
        // The class scales first: in place, the backward pass leaves no logits.
        if let Some(step) = &self.plan.steps.class_scale {
            for (index, window) in self.plan.cut.windows.iter().enumerate() {
                // They are written even if there is no row.
                if window.width() > 0 {
                    self.dispatch(step, index, window);
                }
            }
        }
        if let Some(step) = &self.plan.steps.backward {
            for (index, window) in self.plan.cut.windows.iter().enumerate() {
                if window.rows > 0 && window.width() > 0 {
                    self.dispatch(step, index, window);
                }
            }
            self.stitch();
        }
    }

    fn stitch(&mut self) {
        if let Some(step) = &self.plan.steps.stitch {
            for (index, window) in self.plan.cut.windows.iter().enumerate() {
                if window.rows > 0 && window.width() > 0 {
                    self.dispatch(step, index, window);
                }
            }
        }
    }

    pub(super) fn over_windows(&mut self, step: &Step) {
        for (index, window) in self.plan.cut.windows.iter().enumerate() {
            if window.rows > 0 {
                self.dispatch(step, index, window);
            }
        }
    }

    /// Once for each range of rows.
    pub(super) fn over_rows(&mut self, step: &Step) {
        for (index, window) in self.plan.cut.windows.iter().enumerate() {
            if window.rows > 0 && window.class_range == 0 {
                self.dispatch(step, index, window);
            }
        }
    }

    /// Once for each range of classes.
    fn over_classes(&mut self, step: &Step) {
        for (index, window) in self.plan.cut.windows.iter().enumerate() {
            if window.row_range == 0 {
                self.dispatch(step, index, window);
            }
        }
    }

    fn once(&mut self, step: &Step) {
        if let Some(window) = self.plan.cut.windows.first() {
            self.dispatch(step, 0, window);
        }
    }

    fn dispatch(&mut self, step: &Step, index: usize, window: &Window) {
        let memory = &self.plan.memory;
        let entries: Vec<_> = step
            .key
            .bindings()
            .into_iter()
            .filter_map(|binding| {
                // Inputs that are absent, or empty, are bound to one of the plan's ones: the kernels only look at
                // it for an upstream gradient. A buffer cannot be bound for reading and for writing at once.
                let one = if binding.access == Access::ReadWrite { &memory.shared_one } else { &memory.one };
                let resource = self.resource(step, binding.name, index, window);
                let resource = resource.or_else(|| View::whole(one).binding())?;
                let resource = wgpu::BindingResource::Buffer(resource);
                Some(wgpu::BindGroupEntry { binding: binding.number, resource })
            })
            .collect();
        let group = self.plan.kernels.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &step.pipeline.layout,
            entries: &entries,
        });
        let (x, y) = self.plan.grid(&step.key, window);
        self.pass.set_pipeline(&step.pipeline.pipeline);
        self.pass.set_bind_group(0, &group, &[]);
        self.pass.dispatch_workgroups(x, y, 1);
    }

    fn resource(
        &self,
        step: &Step,
        name: &str,
        index: usize,
        window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        let (plan, bound) = (self.plan, self.bound);
        let memory = &plan.memory;
        let per_row = |view: Option<View<'a>>| rows_of(view?, window);
        let matrix = |matrix: Option<MatrixView<'a>>, part: Part| part_of(matrix?, window.block, part);
        let classes = |view: View<'a>, bytes: u64| {
            let offset = bytes * u64::from(window.classes.start);
            part_of(view.into(), 0, Part { offset, size: bytes * u64::from(window.width()), origin: 0 })
        };
        match name {
            "params" => {
                let size = std::mem::size_of::<crate::gpu::Params>() as u64;
                View::new(&memory.params, PARAMS_STEP * index as u64, size).binding()
            }
            "scalars" => View::whole(&memory.scalars).binding(),
            "rows_in" | "rows_out" => memory.rows.binding(window.row_range),
            "saved" => memory.saved.binding(window.row_range),
            "classes" => memory.classes.binding(window.class_range),
            "counts" => classes(View::whole(&plan.counts.as_ref()?.buffer), 8),
            "sums" => View::whole(memory.sums.as_ref()?).binding(),
            "labels" => per_row(bound.labels),
            "second_labels" => per_row(bound.second_labels),
            "lambdas" => per_row(bound.lambda),
            "row_weights" => per_row(bound.row_weights),
            "feature_norms" => per_row(bound.feature_norms),
            "logits" => matrix(bound.logits, window.logits),
            "gradient" if step.key.driver == Driver::ClassScaleGradient => classes(bound.class_scale?, 4),
            "gradient" => matrix(bound.gradient, window.gradient),
            "dense" => matrix(bound.dense, window.dense),
            "statistics" => bound.statistics?.binding(),
            // One number for the whole batch, or one for each row.
            "upstream" => match bound.upstream? {
                view if view.size == 4 => view.binding(),
                view => rows_of(view, window),
            },
            _ => None,
        }
    }
}

/// The window's rows of an array with 4 bytes a row, from the last aligned row before them on.
fn rows_of<'a>(view: View<'a>, window: &Window) -> Option<wgpu::BufferBinding<'a>> {
    let shift = window.first_row % ROW_ALIGNMENT;
    let offset = 4 * (window.first_row - shift);
    View::new(view.buffer, view.offset + offset, 4 * (u64::from(window.rows) + shift)).binding()
}

/// The window's part of a matrix.
fn part_of<'a>(matrix: MatrixView<'a>, block: usize, part: Part) -> Option<wgpu::BufferBinding<'a>> {
    let view = match matrix {
        MatrixView::Whole(view) => view,
        MatrixView::Blocks(views) => *views.get(block)?,
    };
    View::new(view.buffer, view.offset + part.offset, part.size).binding()
}

impl Plan {
    pub(super) fn copy_outputs(&self, encoder: &mut wgpu::CommandEncoder, outputs: &Outputs<'_>) {
        let mut list = outputs.list(self.per_row()).into_iter().map(|(_, view, _)| view);
        if let Some(view) = list.next().flatten() {
            let scalars = &self.memory.scalars;
            encoder.copy_buffer_to_buffer(scalars, 4 * SCALAR_LOSS, view.buffer, view.offset, 4);
        }
        // The fields of `saved` follow in the order of the list.
        for (field, view) in (0..SAVED_OUTPUTS).zip(list) {
            let Some(view) = view else { continue };
            for (region, rows) in self.cut.ranges.rows.iter().enumerate() {
                if let Some((buffer, offset)) = self.memory.saved.place(region) {
                    let bytes = 4 * u64::from(rows.rows);
                    let from = offset + field * bytes;
                    encoder.copy_buffer_to_buffer(
                        buffer,
                        from,
                        view.buffer,
                        view.offset + 4 * rows.row,
                        bytes,
                    );
                }
            }
        }
    }
}
