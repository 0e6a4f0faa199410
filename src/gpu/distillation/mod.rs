//! Distillation's plans.

mod key;
mod numbers;

pub use key::{DistillationDriver, DistillationKey};
pub use numbers::DistillationNumbers;

use super::kernels::Kernels;
use super::plan::{
    Bound, Core, Extent, Kept, Launch, Matrix, Memory, Needs, Passes, Recorder, SUM_ITEMS, Step, Wants,
    Window, uniform,
};
use super::request::{Mode, PlanRequest};
use super::shader::Storage;
use super::softmax::{SoftmaxNumbers, plain_numbers};
use super::view::View;
use super::walk::{self, Around, saved_extra};
use crate::batch::TargetKind;
use crate::distillation::DistillationLoss;
use crate::loss::Loss;
use crate::{Error, Reduction, Result};
use numbers::{COLUMNS, EXPERT_FIELDS, experts, table};

/// A plan's passes: the divergence, without the base.
#[derive(Debug)]
pub(crate) struct DistillationPasses {
    around: Around,
    rows: Step,
    gradient: Step,
    numbers: wgpu::Buffer,
    teacher_columns: usize,
    by_labels: bool,
    experts: Option<usize>,
    /// Whether the divergence is added to a base's loss.
    based: bool,
}

/// Plans the divergence of a loss that has passed its check; its base is left out.
///
/// # Errors
/// As [`Kernels::plan`].
pub(crate) fn plan(
    kernels: &Kernels,
    spec: &DistillationLoss,
    request: &PlanRequest,
) -> Result<(Core, Box<dyn Passes>)> {
    walk::check_request(request)?;
    let mut extent = Extent::new(request)?;
    let teacher_columns = spec.teacher_columns(request.classes);
    extent.dense = Matrix { stride: teacher_columns as u64, bytes: request.teacher_element().bytes() };
    extent.dense_columns = Some(teacher_columns as u64);
    let choice = walk::choose(kernels.adapter, request, &extent, extent.width())?;
    let (logits, gradient) = walk::cells(request, choice);
    let saved_fields = saved_extra(gradient) + 1 + EXPERT_FIELDS * experts(spec) as u64;
    let class_columns = if spec.experts.is_some() { COLUMNS as u64 } else { 0 };
    let needs = Needs {
        dense: true,
        class_bytes: 4 * class_columns,
        row_fields: 14,
        saved_fields,
        most_rows: request.most_rows,
        ..Needs::default()
    };
    let cut = extent.cut(kernels, choice, &needs)?;
    if cut.ranges.classes.len() > 1 {
        let bytes = extent.logits.bytes.max(extent.gradient.bytes).max(4);
        return Err(Error::Limit {
            what: "one row of student or teacher (bytes in one binding)".into(),
            needed: bytes.max(needs.class_bytes) * extent.width() + 256,
            allowed: kernels.max_binding(),
            cure: "request the device with a higher max_storage_buffer_binding_size",
        });
    }
    let most_class = 1 << 24;
    if spec.experts.is_some() && extent.width() > most_class {
        return Err(Error::Limit {
            what: "the classes of experts".into(),
            needed: extent.width(),
            allowed: most_class,
            cure: "give one teacher for all classes",
        });
    }
    let many_rows = cut.ranges.rows.len() > 1 || extent.rows > SUM_ITEMS;
    let rows = DistillationKey {
        driver: DistillationDriver::Rows,
        targets: request.targets,
        storage: Storage::Separate,
        logits,
        gradient,
        teacher: request.teacher_element(),
        straddle: false,
        workgroup: choice.workgroup,
        experts: spec.experts.is_some(),
        argmax: request.argmax,
        adds: false,
    };
    let of_gradient = DistillationKey {
        driver: DistillationDriver::Gradient,
        targets: TargetKind::Hard,
        storage: request.storage,
        straddle: extent.straddles() && logits.packed() && gradient.packed(),
        argmax: false,
        adds: request.added_gradient,
        ..rows
    };
    let size = std::mem::size_of::<DistillationNumbers>() as u64;
    let passes = DistillationPasses {
        around: Around::new(kernels, request.targets, request, &extent, choice, many_rows)?,
        rows: Step::new(kernels, rows, Launch::Rows)?,
        gradient: Step::new(kernels, of_gradient, Launch::Pieces { lanes: 1 })?,
        numbers: uniform(kernels, NUMBERS, size)?,
        teacher_columns,
        by_labels: false,
        experts: spec.experts.as_ref().map(Vec::len),
        based: spec.base.is_some(),
    };
    let kept = Kept {
        // As the softmax family lays them down.
        row_fields: if request.targets == TargetKind::Mixed { 14 } else { 7 },
        saved_fields,
        class_columns,
        spec: std::mem::size_of::<SoftmaxNumbers>() as u64,
        many_rows,
    };
    let memory = Memory::new(kernels, &cut, kept)?;
    let core = Core::new(kernels, request, choice, extent, cut, memory)?;
    Ok((core, Box::new(passes)))
}

const NUMBERS: &str = "longtail distillation";

impl Passes for DistillationPasses {
    fn steps(&self) -> Vec<&Step> {
        let mut steps = self.around.before();
        steps.push(&self.rows);
        steps.extend(self.around.after());
        steps.push(&self.gradient);
        steps.extend(self.around.last());
        steps
    }

    fn wants(&self) -> Wants {
        Wants { teacher: Some(("distillation", self.teacher_columns as u64)), ..Wants::default() }
    }

    fn forward(&self, recorder: &mut Recorder<'_>) {
        self.around.start(recorder, self.by_labels);
        recorder.over_rows(&self.rows);
        self.around.finish(recorder);
    }

    fn backward(&self, recorder: &mut Recorder<'_>) {
        // A row's edges are those of its last window: each is stitched before the next.
        recorder.over_elements_in_turn(std::iter::once(&self.gradient).chain(self.around.last()));
    }

    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()> {
        let Loss::Distillation(spec) = loss else {
            return Err(Error::Unexpected { what: "a loss of another family", planned: "for distillation" });
        };
        let classes = core.request.classes;
        if spec.experts.as_ref().map(Vec::len) != self.experts
            || spec.teacher_columns(classes) != self.teacher_columns
        {
            return Err(Error::Unexpected {
                what: "a spec with other experts",
                planned: "for as many experts and classes of theirs as its first spec has",
            });
        }
        if spec.base.is_some() != self.based {
            let what = "a spec with or without a base";
            return Err(Error::Unexpected { what, planned: "the other way" });
        }
        // What rows count is not weighted.
        let reduction = match spec.reduction {
            Reduction::WeightedMean => Reduction::MeanKept,
            reduction => reduction,
        };
        let rows = plain_numbers(reduction, spec.ignore_index, core.extent.rows, core.request.row_weights);
        self.by_labels = reduction == Reduction::MeanKept;
        core.memory.write_spec(&core.kernels, bytemuck::bytes_of(&rows))?;
        let numbers = DistillationNumbers::new(spec, classes);
        let buffer = &self.numbers;
        core.kernels.scoped("a plan's numbers", || {
            core.kernels.queue.write_buffer(buffer, 0, bytemuck::bytes_of(&numbers));
            Ok(())
        })?;
        match &spec.experts {
            None => Ok(()),
            Some(experts) => {
                core.memory.write_classes(&core.kernels, &core.class_ranges(), |_| table(experts, classes))
            }
        }
    }

    fn resource<'a>(
        &'a self,
        _core: &'a Core,
        _bound: &'a Bound<'a>,
        name: &str,
        _window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        match name {
            "numbers" => View::whole(&self.numbers).binding(),
            _ => None,
        }
    }

    fn buffers(&self) -> Vec<(&'static str, u64)> {
        vec![(NUMBERS, self.numbers.size())]
    }

    fn manner(&self, core: &Core) -> String {
        let passes = match core.request.mode {
            Mode::LossAndGrad => "one after the other",
            Mode::ForwardBackward => "each when it is asked for",
        };
        format!("rows streamed for the divergence and again for the gradient, {passes}")
    }
}
