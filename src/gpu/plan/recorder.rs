//! From windows to dispatches.

use super::Plan;
use super::core::Core;
use super::extent::Window;
use super::memory::WINDOW_STEP;
use super::numbers::WindowNumbers;
use super::passes::Passes;
use super::step::Step;
use super::views::Bound;
use super::windows::Part;
use crate::gpu::shader::Access;
use crate::gpu::view::{MatrixView, View};

/// One compute pass over a plan's windows.
pub(crate) struct Recorder<'a> {
    core: &'a Core,
    passes: &'a dyn Passes,
    bound: &'a Bound<'a>,
    pass: Pass<'a>,
    /// The block of rows that passes are held to.
    block: Option<usize>,
}

/// A compute pass of the recorder's own, or of the one that it works for.
#[expect(clippy::large_enum_variant, reason = "one of them lives for the time of a pass")]
enum Pass<'a> {
    Own(wgpu::ComputePass<'static>),
    Lent(&'a mut wgpu::ComputePass<'static>),
}

impl Pass<'_> {
    fn get(&mut self) -> &mut wgpu::ComputePass<'static> {
        match self {
            Self::Own(pass) => pass,
            Self::Lent(pass) => pass,
        }
    }
}

impl<'a> Recorder<'a> {
    pub(super) fn begin(
        core: &'a Core,
        passes: &'a dyn Passes,
        encoder: &'a mut wgpu::CommandEncoder,
        bound: &'a Bound<'a>,
        label: &str,
    ) -> Self {
        let pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None });
        // The recorder keeps the encoder borrowed, and ends the pass.
        Self { core, passes, bound, pass: Pass::Own(pass.forget_lifetime()), block: None }
    }

    /// Holds what follows to one block of rows, or to none.
    pub(crate) fn hold_to(&mut self, block: Option<usize>) {
        self.block = block;
    }

    /// The compute pass, for what others record into it.
    pub(crate) fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        self.pass.get()
    }

    /// The views of the pass.
    pub(crate) fn bound(&self) -> Bound<'a> {
        *self.bound
    }

    /// A recorder for a plan that is a part of this one, into the same compute pass.
    pub(crate) fn within<'b>(&'b mut self, plan: &'b Plan, bound: &'b Bound<'b>) -> Recorder<'b> {
        let (pass, block) = (Pass::Lent(self.pass.get()), self.block);
        Recorder { core: &plan.core, passes: plan.passes.as_ref(), bound, pass, block }
    }

    /// Once for each window that has both rows and classes.
    pub(crate) fn over_elements(&mut self, step: &Step) {
        self.over(step, |window| window.rows > 0 && window.width() > 0);
    }

    /// The steps one after the other for each window that has both rows and classes: where the next window takes the
    /// place of what the first step leaves.
    pub(crate) fn over_elements_in_turn<'s>(&mut self, steps: impl IntoIterator<Item = &'s Step> + Clone) {
        for (index, window) in self.core.cut.windows.iter().enumerate() {
            if window.rows > 0 && window.width() > 0 && self.is_held(window) {
                steps.clone().into_iter().for_each(|step| self.dispatch(step, index, window));
            }
        }
    }

    /// Once for each window that has classes: what is written for each class is there even if there is no row.
    pub(crate) fn over_columns(&mut self, step: &Step) {
        self.over(step, |window| window.width() > 0);
    }

    /// Once for each window that has rows.
    pub(crate) fn over_windows(&mut self, step: &Step) {
        self.over(step, |window| window.rows > 0);
    }

    /// Once for each range of rows.
    pub(crate) fn over_rows(&mut self, step: &Step) {
        self.over(step, |window| window.rows > 0 && window.class_range == 0);
    }

    /// Once for each range of rows, also where there is no row.
    pub(crate) fn over_ranges(&mut self, step: &Step) {
        self.over(step, |window| window.class_range == 0);
    }

    /// Once for each range of classes.
    pub(crate) fn over_classes(&mut self, step: &Step) {
        self.over(step, |window| window.row_range == 0);
    }

    fn over(&mut self, step: &Step, wanted: impl Fn(&Window) -> bool) {
        for (index, window) in self.core.cut.windows.iter().enumerate() {
            if wanted(window) && self.is_held(window) {
                self.dispatch(step, index, window);
            }
        }
    }

    /// Whether passes are not held to another block of rows.
    fn is_held(&self, window: &Window) -> bool {
        self.block.is_none_or(|block| block == window.block)
    }

    /// Once for the batch.
    pub(crate) fn once(&mut self, step: &Step) {
        if let Some(window) = self.core.cut.windows.first() {
            self.dispatch(step, 0, window);
        }
    }

    fn dispatch(&mut self, step: &Step, index: usize, window: &Window) {
        let memory = &self.core.memory;
        let entries: Vec<_> = step
            .bindings
            .iter()
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
        let (device, grid) = (&self.core.kernels.device, step.grid(self.core, window));
        step.pipeline.dispatch(device, None, &entries, grid, self.pass.get());
    }

    fn resource(
        &self,
        step: &Step,
        name: &str,
        index: usize,
        window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        let (core, bound) = (self.core, self.bound);
        let memory = &core.memory;
        let per_row = |view: Option<View<'a>>| Core::rows_of(view?, window);
        let matrix = |matrix: Option<MatrixView<'a>>, part: Part| matrix?.part(window.block, part);
        match name {
            "window" => {
                let size = std::mem::size_of::<WindowNumbers>() as u64;
                View::new(&memory.windows, WINDOW_STEP * index as u64, size).binding()
            }
            "spec" => View::whole(&memory.spec).binding(),
            "scalars" => View::whole(&memory.scalars).binding(),
            "rows_in" | "rows_out" => memory.rows.binding(window.row_range),
            "saved" => memory.saved.binding(window.row_range),
            // A family may have a table of its own.
            "classes" => self
                .passes
                .resource(core, bound, name, window)
                .or_else(|| memory.classes.binding(window.class_range)),
            "sums" => View::whole(memory.sums.as_ref()?).binding(),
            "labels" => per_row(bound.labels),
            "second_labels" => per_row(bound.second_labels),
            "lambdas" => per_row(bound.lambda),
            "row_weights" => per_row(bound.row_weights),
            "feature_norms" => per_row(bound.feature_norms),
            "logits" => matrix(bound.logits, window.logits),
            "gradient" if step.of_classes => window.classes_of(bound.class_scale?, 4),
            "gradient" => matrix(bound.gradient, window.gradient),
            "dense" => matrix(bound.dense.or(bound.gates), window.dense),
            "teacher" => matrix(bound.teacher, window.teacher),
            "gates" => matrix(bound.gates, window.dense),
            "statistics" => bound.statistics?.binding(),
            // One number for the whole batch, or one for each row.
            "upstream" => match bound.upstream? {
                view if view.size == 4 => view.binding(),
                view => Core::rows_of(view, window),
            },
            _ => {
                let own = self.passes.resource(core, bound, name, window);
                own.or_else(|| bound.operands?.resource(name, index, window))
            }
        }
    }
}

impl<'a> MatrixView<'a> {
    /// A window's part of the matrix.
    pub(crate) fn part(self, block: usize, part: Part) -> Option<wgpu::BufferBinding<'a>> {
        let view = match self {
            MatrixView::Whole(view) => view,
            MatrixView::Blocks(views) => *views.get(block)?,
        };
        View::new(view.buffer, view.offset + part.offset, part.size).binding()
    }
}
