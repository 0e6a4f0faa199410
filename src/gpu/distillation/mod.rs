//! Distillation's plans.

mod base;
mod key;
mod numbers;
mod text;

pub use key::{DistillationDriver, DistillationKey};
pub use numbers::DistillationNumbers;

use super::choice::RowChoice;
use super::counts::DeviceCounts;
use super::kernels::Kernels;
use super::plan::{
    Bound, Core, Extent, Kept, LONGEST_LOOP, Launch, Matrix, Memory, Needs, Passes, Recorder, Step, Wants,
    Window, class_arena, many_rows, sums_workgroup, uniform,
};
use super::request::{Mode, PlanRequest};
use super::shader::{Cell, InnerTerms, Storage};
use super::softmax::{Counting, SoftmaxNumbers, plain_numbers, wants};
use super::view::View;
use super::walk::{self, Around, Walk};
use crate::batch::TargetKind;
use crate::distillation::DistillationLoss;
use crate::loss::Loss;
use crate::{Error, Reduction, Result};
use base::Base;
use numbers::{saved_fields, table, table_columns};

/// The most classes that a table in f32 tells apart, and the most experts that a kernel goes through.
const MOST_CLASSES: u64 = 1 << 24;
const MOST_EXPERTS: u64 = LONGEST_LOOP / 2;

/// A plan's passes: the divergence, and a base that goes along.
#[derive(Debug)]
pub(crate) struct DistillationPasses {
    around: Around,
    /// Beside a base: the divergence's own denominator, after sums where there are many rows.
    kept_sums: Option<Step>,
    kept: Option<Step>,
    rows: Step,
    gradient: Step,
    numbers: wgpu::Buffer,
    base: Option<Base>,
    teacher_columns: usize,
    experts: Option<usize>,
    /// Which denominators depend on labels: the first part's, and beside a base the divergence's.
    by_labels: bool,
    by_kept: bool,
}

/// Plans a loss that has passed its check: its divergence, with its base in the same passes where it has one.
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
    let teacher = Matrix { stride: teacher_columns as u64, bytes: request.teacher_element().bytes() };
    extent.teacher = Some(teacher);
    check_experts(spec, &extent)?;
    let base = spec.base.as_ref().map(|base| Base::new(kernels, base, request, &extent)).transpose()?;
    // Four rows share what belongs to a class and draws of gates; in f32 with little of either they cost a processor more than
    // that saves.
    let much = base.as_ref().is_some_and(|base| base.terms.gate || base.terms.mitigation);
    let shares = spec.experts.is_some() || extent.logits.bytes == 2 || much;
    let walk = Walk { columns: extent.width(), lanes: Some(if shares { 4 } else { 1 }) };
    let choice = walk::choose(kernels.adapter, request, &extent, walk)?;
    let keys = Keys { kernels, spec, request, extent: &extent, choice, base: base.as_ref() };
    let gradient_key = keys.gradient();
    let saved_fields = gradient_key.saved_own() + 1 + saved_fields(spec);
    let base_columns = base.as_ref().map_or(0, |base| base.columns.len());
    let class_columns = base_columns + table_columns(spec);
    let needs = Needs {
        dense: base.as_ref().is_some_and(|base| base.terms.binds_dense(request.targets)),
        // Counts are two words.
        class_bytes: (4 * class_columns).max(8),
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
    let many_rows = many_rows(&cut, extent.rows);
    let step = |key, launch| Step::new(kernels, key, launch);
    let of_sums = |driver, of_sums| keys.of_rows(driver, of_sums);
    let sums = |driver| many_rows.then(|| step(of_sums(driver, false), Launch::Sums)).transpose();
    let terms = base.as_ref().map_or_else(InnerTerms::default, |base| base.terms);
    let mut around = Around::new(kernels, (request.targets, terms), request, &extent, choice, many_rows)?;
    let (mut kept_sums, mut kept) = (None, None);
    if base.is_some() {
        let finish = step(of_sums(DistillationDriver::Finish, many_rows), Launch::Once)?;
        around = around.with_losses(sums(DistillationDriver::LossSums)?, finish);
        kept_sums = sums(DistillationDriver::KeptSums)?;
        kept = Some(step(of_sums(DistillationDriver::Kept, many_rows), Launch::Once)?);
    }
    let size = std::mem::size_of::<DistillationNumbers>() as u64;
    let lanes = choice.lanes;
    let passes = DistillationPasses {
        around,
        kept_sums,
        kept,
        rows: step(keys.rows(), Launch::RowGroups { lanes })?,
        gradient: step(gradient_key, Launch::Pieces { lanes })?,
        numbers: uniform(kernels, NUMBERS, size)?,
        base,
        teacher_columns,
        experts: spec.experts.as_ref().map(Vec::len),
        by_labels: false,
        by_kept: false,
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

/// Whether the kernels' loops and tables hold a spec's experts.
///
/// # Errors
/// [`Error::Limit`].
fn check_experts(spec: &DistillationLoss, extent: &Extent) -> Result<()> {
    let Some(experts) = &spec.experts else { return Ok(()) };
    let limit = |what: &str, needed, allowed, cure| match needed > allowed {
        false => Ok(()),
        true => Err(Error::Limit { what: what.into(), needed, allowed, cure }),
    };
    limit("the classes of experts", extent.width(), MOST_CLASSES, "give one teacher for all classes")?;
    limit("experts", experts.len() as u64, MOST_EXPERTS, "give some of them one softmax")
}

/// The kernels' keys.
struct Keys<'a> {
    kernels: &'a Kernels,
    spec: &'a DistillationLoss,
    request: &'a PlanRequest,
    extent: &'a Extent,
    choice: RowChoice,
    base: Option<&'a Base>,
}

impl Keys<'_> {
    fn rows(&self) -> DistillationKey {
        let (logits, gradient) = walk::cells(self.request, self.choice);
        // All that matters of a gradient that others write is whether its edges have a place.
        let gradient = if gradient.packed() { Cell::PackedBf16 } else { Cell::F32 };
        DistillationKey {
            driver: DistillationDriver::Rows,
            targets: self.request.targets,
            storage: Storage::Separate,
            logits,
            gradient,
            teacher: self.request.teacher_element(),
            straddle: false,
            teacher_pairs: logits.packed() && self.is_like_teacher(&self.extent.logits),
            lanes: self.choice.lanes,
            workgroup: self.choice.workgroup,
            experts: self.spec.experts.is_some(),
            base: self.base.map(|base| base.terms),
            argmax: self.request.argmax,
            adds: false,
            of_sums: false,
        }
    }

    fn gradient(&self) -> DistillationKey {
        let rows = self.rows();
        let (_, gradient) = walk::cells(self.request, self.choice);
        let both_packed = rows.logits.packed() && gradient.packed();
        DistillationKey {
            driver: DistillationDriver::Gradient,
            gradient,
            targets: if self.base.is_some() { self.request.targets } else { TargetKind::Hard },
            storage: self.request.storage,
            straddle: self.extent.straddles() && both_packed,
            teacher_pairs: match gradient.packed() {
                true => self.is_like_teacher(&self.extent.gradient),
                false => rows.teacher_pairs,
            },
            argmax: false,
            adds: self.request.added_gradient,
            ..rows
        }
    }

    /// Kernels over the rows' fields.
    fn of_rows(&self, driver: DistillationDriver, of_sums: bool) -> DistillationKey {
        let rows = self.rows();
        DistillationKey {
            driver,
            // Sums of sums look at no row.
            targets: if of_sums { TargetKind::Hard } else { rows.targets },
            gradient: if of_sums { Cell::F32 } else { rows.gradient },
            logits: Cell::F32,
            teacher: crate::Element::F32,
            teacher_pairs: false,
            lanes: 1,
            workgroup: sums_workgroup(self.kernels),
            experts: false,
            base: None,
            argmax: false,
            of_sums,
            ..rows
        }
    }

    /// Whether rows of a packed matrix start on the same half of a word as the teacher's of 16 bits.
    fn is_like_teacher(&self, matrix: &Matrix) -> bool {
        let Some(teacher) = self.extent.teacher else { return false };
        let even_start = self.extent.first_column.is_multiple_of(2);
        self.spec.experts.is_none()
            && teacher.bytes == 2
            && teacher.stride % 2 == matrix.stride % 2
            && even_start
    }
}

const NUMBERS: &str = "longtail distillation";

impl DistillationPasses {
    /// What a base with seesaw counts.
    fn counting(&self) -> Option<&Counting> {
        self.base.as_ref()?.counting.as_ref()
    }
}

impl Passes for DistillationPasses {
    fn steps(&self) -> Vec<&Step> {
        let mut steps: Vec<&Step> = self.counting().into_iter().flat_map(Counting::steps).collect();
        steps.extend(self.around.before());
        steps.extend(self.kept_sums.iter().chain(&self.kept));
        steps.push(&self.rows);
        steps.extend(self.around.after());
        steps.push(&self.gradient);
        steps.extend(self.around.last());
        steps
    }

    fn wants(&self) -> Wants {
        let of_base = self.base.as_ref().map(|base| wants(&base.terms, base.influence));
        Wants { teacher: Some(("distillation", self.teacher_columns as u64)), ..of_base.unwrap_or_default() }
    }

    fn forward(&self, recorder: &mut Recorder<'_>) {
        if let Some(counting) = self.counting() {
            counting.record(recorder);
        }
        self.around.start(recorder, self.by_labels);
        if self.by_kept {
            if let Some(step) = &self.kept_sums {
                recorder.over_rows(step);
            }
            if let Some(step) = &self.kept {
                recorder.once(step);
            }
        }
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
        if spec.base.is_some() != self.base.is_some() {
            let what = "a spec with or without a base";
            return Err(Error::Unexpected { what, planned: "the other way" });
        }
        let (rows, targets) = (core.extent.rows, core.request.targets);
        let mut table = Vec::new();
        let before = self.base.as_ref().map_or(0, |base| base.columns.len());
        let softmax = match &mut self.base {
            Some(base) => {
                let of_base = base.update(spec, targets)?;
                table = base.table(of_base, 0..classes);
                base.numbers(of_base, core)
            }
            None => {
                // What rows count is not weighted.
                let reduction = match spec.reduction {
                    Reduction::WeightedMean => Reduction::MeanKept,
                    reduction => reduction,
                };
                plain_numbers(reduction, spec.ignore_index, rows, core.request.row_weights)
            }
        };
        let base_columns = self.base.as_ref().map_or(0, |base| base.columns.len());
        if base_columns != before {
            let columns = base_columns + table_columns(spec);
            core.memory.classes = class_arena(&core.kernels, &core.cut, columns)?;
        }
        let numbers = DistillationNumbers::new(spec, rows, classes, base_columns);
        self.by_labels = softmax.reduction != 0;
        self.by_kept = numbers.by_kept != 0;
        core.memory.write_spec(&core.kernels, bytemuck::bytes_of(&softmax))?;
        let buffer = &self.numbers;
        core.kernels.scoped("a plan's numbers", || {
            core.kernels.queue.write_buffer(buffer, 0, bytemuck::bytes_of(&numbers));
            Ok(())
        })?;
        table.extend(spec.experts.iter().flat_map(|experts| self::table(experts, classes)));
        core.memory.write_classes(&core.kernels, &core.class_ranges(), |_| table.clone())
    }

    fn resource<'a>(
        &'a self,
        _core: &'a Core,
        _bound: &'a Bound<'a>,
        name: &str,
        window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        match name {
            "numbers" => View::whole(&self.numbers).binding(),
            "counts" => self.counting()?.binding(window),
            _ => None,
        }
    }

    fn buffers(&self) -> Vec<(&'static str, u64)> {
        let mut buffers = vec![(NUMBERS, self.numbers.size())];
        buffers.extend(self.counting().map(Counting::buffer));
        buffers
    }

    fn counts(&self) -> Option<&DeviceCounts> {
        self.counting().map(Counting::counts)
    }

    fn manner(&self, core: &Core) -> String {
        let passes = match core.request.mode {
            Mode::LossAndGrad => "one after the other",
            Mode::ForwardBackward => "each when it is asked for",
        };
        let losses = if self.base.is_some() { "divergence and base" } else { "the divergence" };
        let RowChoice { lanes, workgroup, .. } = core.choice;
        format!(
            "rows of student and teacher, {lanes} per workgroup of {workgroup} threads, streamed for {losses} and again \
             for the gradient, {passes}"
        )
    }
}
