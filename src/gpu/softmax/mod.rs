//! The softmax family's plans.

mod counting;
mod shard;
mod spec;
mod steps;

pub(crate) use counting::Counting;
pub(crate) use shard::ShardPasses;
pub use shard::Statistics;
pub use spec::SoftmaxNumbers;
pub(crate) use spec::{ClassColumns, inner_terms, plain_numbers, terms_to_go_on_with};
pub(crate) use steps::placed;

use super::choice::{DOWN_ROWS, RowChoice, RowRequest, SixteenRows, choose, choose_computed, choose_sixteen};
use super::counts::DeviceCounts;
use super::kernels::Kernels;
use super::plan::{
    Bound, Core, Cut, Extent, Kept, Memory, Needs, Passes, Recorder, Step, Wants, Window, check_choice,
    class_arena, many_rows, narrow,
};
use super::request::{Mode, PlanRequest};
use super::shader::{Driver, InnerTerms, Layout, SAVED_COEFFICIENTS, SAVED_LABELS};
use crate::batch::TargetKind;
use crate::loss::Loss;
use crate::softmax::SoftmaxLoss;
use crate::{Error, Result};
use std::ops::Range;
use steps::{Manner, RowSteps, SplitSteps, Steps};

/// Fields per row that the prepare kernel writes, for one label.
const FIELDS_PER_LABEL: u64 = 7;

/// A plan's passes.
#[derive(Debug)]
pub(crate) struct SoftmaxPasses {
    terms: InnerTerms,
    columns: ClassColumns,
    /// Columns that a regulariser beside the loss has after them.
    regulariser: u64,
    layout: Layout,
    influence: bool,
    label_denominator: bool,
    manner: Manner,
    steps: Steps,
    counting: Option<Counting>,
    fused: bool,
}

/// Plans a loss that has passed its check.
///
/// # Errors
/// As [`Kernels::plan`].
pub(crate) fn plan(
    kernels: &Kernels,
    spec: &SoftmaxLoss,
    request: &PlanRequest,
) -> Result<(Core, Box<dyn Passes>)> {
    let (core, passes) = plan_beside(kernels, spec, request, 0)?;
    Ok((core, Box::new(passes)))
}

/// The same for a loss with a regulariser over columns beside it, which has `regulariser` columns of the class table after
/// the loss's own, and its gradient added.
///
/// # Errors
/// As [`Kernels::plan`].
pub(crate) fn plan_beside(
    kernels: &Kernels,
    spec: &SoftmaxLoss,
    request: &PlanRequest,
    regulariser: u64,
) -> Result<(Core, SoftmaxPasses)> {
    if request.added_gradient {
        return Err(Error::Unexpected {
            what: "a gradient that is added to",
            planned: "for a softmax loss, whose pass comes first",
        });
    }
    let extent = Extent::new(request)?;
    let terms = inner_terms(spec, request.targets);
    let rows = row_request(terms, request, &extent);
    let width = narrow(extent.width());
    let choice = match (request.choice, request.computed) {
        (given, Some(computed)) => {
            let (workgroup, tile) = (computed.key.tile.workgroup(), computed.tile());
            let choice = choose_computed(kernels.adapter, workgroup, tile, narrow(extent.rows), width.max(1));
            RowChoice { split: given.map_or(choice.split, |given| given.split), ..choice }
        }
        // Of rows that go along with columns; other kernels take them by fours.
        (Some(choice), None) if regulariser > 0 && choice.lanes == DOWN_ROWS => {
            RowChoice { lanes: 4, ..choice }
        }
        (Some(choice), None) => choice,
        (None, None) => choose(kernels.adapter, &rows, narrow(extent.rows), width.max(1)),
    };
    let step = rows.row_key(choice, true, true).width();
    check_choice(choice, width, step)?;
    let choice = choice.holding_no_more_than(width.saturating_add(step - 1));
    let counting = Counting::new(kernels, spec, terms, request.targets, &extent, request.counts.as_ref())?;
    let columns = ClassColumns::new(spec, &terms);
    let layout = Layout::new(&rows.key(Driver::Partial, choice));
    let needs = Needs {
        dense: terms.binds_dense(request.targets),
        class_bytes: (4 * (columns.len() + regulariser)).max(if counting.is_some() { 8 } else { 0 }),
        row_fields: 2 * FIELDS_PER_LABEL,
        saved_fields: layout.extra + SAVED_COEFFICIENTS + SAVED_LABELS,
        slot_fields: layout.slot,
        rows_in_a_loop: request.class_scale_gradient || regulariser > 0,
        most_rows: request.most_rows,
        ..Needs::default()
    };
    let cut = extent.cut(kernels, choice, &needs)?;
    let split = cut.split || request.shard.is_some();
    let many_rows = many_rows(&cut, extent.rows);
    let sixteen = match regulariser > 0 && !split && !terms.two_step() && !terms.dense {
        true => sixteen_rows(kernels, &rows, request, &extent, &cut),
        false => None,
    };
    let manner = Manner { split, many_rows, regularised: regulariser > 0, sixteen };
    let steps = Steps::new(kernels, &rows, choice, request, &extent, manner)?;
    let mut saved_fields = layout.extra;
    if steps.backward.is_some() || split {
        saved_fields += SAVED_COEFFICIENTS;
    }
    if split {
        saved_fields += SAVED_LABELS + u64::from(cut.slots) * layout.slot;
    }
    let kept = Kept {
        row_fields: FIELDS_PER_LABEL * if request.targets == TargetKind::Mixed { 2 } else { 1 },
        saved_fields,
        class_columns: columns.len() + regulariser,
        spec: std::mem::size_of::<SoftmaxNumbers>() as u64,
        many_rows,
    };
    let memory = Memory::new(kernels, &cut, kept)?;
    let core = Core::new(kernels, request, choice, extent, cut, memory)?;
    let fused = request.mode == Mode::LossAndGrad && steps.backward.is_none();
    let passes = SoftmaxPasses {
        terms,
        columns,
        regulariser,
        layout,
        influence: false,
        label_denominator: false,
        manner,
        steps,
        counting,
        fused,
    };
    Ok((core, passes))
}

impl Passes for SoftmaxPasses {
    fn steps(&self) -> Vec<&Step> {
        let unused = |step: &&Step| {
            let same = |other: &Option<Step>| other.as_ref().is_some_and(|other| std::ptr::eq(*step, other));
            let of_denominator =
                same(&self.steps.share_sums) || std::ptr::eq(*step, &raw const self.steps.denominator);
            !self.label_denominator && of_denominator
        };
        let counting = self.counting.iter().flat_map(Counting::steps);
        counting.chain(self.steps.all().into_iter().filter(|step| !unused(step))).collect()
    }

    fn wants(&self) -> Wants {
        wants(&self.terms, self.influence)
    }

    fn prepare(&self, recorder: &mut Recorder<'_>) {
        self.start(recorder);
        self.denominator(recorder);
    }

    fn rows(&self, recorder: &mut Recorder<'_>) {
        match &self.steps.rows {
            RowSteps::Whole(step) => {
                recorder.over_windows(step);
                if self.fused {
                    self.stitch(recorder);
                }
            }
            // With the columns in turn, where rows go along with them: `lade/beside.rs`.
            RowSteps::AndColumns(step) => recorder.over_windows(step),
            RowSteps::Split(split) => {
                self.labels(recorder, split);
                self.threshold(recorder, split);
                recorder.over_windows(&split.partial);
                recorder.over_rows(&split.close);
            }
        }
    }

    fn finish(&self, recorder: &mut Recorder<'_>) {
        if let Some(step) = &self.steps.loss_sums {
            recorder.over_rows(step);
        }
        recorder.once(&self.steps.finish);
    }

    fn backward(&self, recorder: &mut Recorder<'_>) {
        // The class scales first: in place, the backward pass leaves no logits.
        if let Some(step) = &self.steps.class_scale {
            recorder.over_columns(step);
        }
        if let Some(step) = &self.steps.backward {
            // A row's edges are those of its last window: each is stitched before the next.
            recorder.over_elements_in_turn(std::iter::once(step).chain(&self.steps.stitch));
        }
    }

    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()> {
        match loss {
            Loss::Softmax(spec) => self.take(core, spec, |_| Vec::new()),
            _ => Err(Error::Unexpected { what: "a loss of another family", planned: PLANNED }),
        }
    }

    fn resource<'a>(
        &'a self,
        _core: &'a Core,
        _bound: &'a Bound<'a>,
        name: &str,
        window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        match name {
            "counts" => self.counting.as_ref()?.binding(window),
            _ => None,
        }
    }

    fn buffers(&self) -> Vec<(&'static str, u64)> {
        self.counting.iter().map(Counting::buffer).collect()
    }

    fn manner(&self, core: &Core) -> String {
        let RowChoice { lanes, workgroup, chip, split, .. } = core.choice;
        if core.extent.computed.is_some() {
            let slots = core.cut.slots;
            return format!(
                "logits computed on chip, rows shared by {slots} workgroups of {workgroup} threads each"
            );
        }
        let manner = match (&self.steps.rows, chip) {
            (RowSteps::Split(_), _) => format!("shared by {} workgroups each", core.cut.slots.max(split)),
            (RowSteps::AndColumns(_), _) => "streamed with their columns, sixteen at a time".to_owned(),
            (RowSteps::Whole(_), 0) if core.choice.apart => "streamed by a kernel for each pass".to_owned(),
            (RowSteps::Whole(_), 0) => "streamed".to_owned(),
            (RowSteps::Whole(_), chip) => format!("held on chip, {chip} columns per thread"),
        };
        format!("rows {manner}, {lanes} per workgroup of {workgroup} threads")
    }

    fn counts(&self) -> Option<&DeviceCounts> {
        self.counting.as_ref().map(Counting::counts)
    }

    fn shard(&self) -> Option<ShardPasses<'_>> {
        ShardPasses::new(self)
    }
}

/// Sixteen rows at a time, with the columns of a regulariser, where a caller or the shape says so.
fn sixteen_rows(
    kernels: &Kernels,
    asked: &RowRequest,
    request: &PlanRequest,
    extent: &Extent,
    cut: &Cut,
) -> Option<SixteenRows> {
    let workgroup = match (request.targets, request.choice) {
        (TargetKind::Hard, None) => None,
        (TargetKind::Hard, Some(choice)) if choice.lanes == DOWN_ROWS => Some(choice.workgroup),
        _ => return None,
    };
    let most_rows = cut.ranges.rows.iter().map(|range| range.rows).max().unwrap_or(0);
    let rows = (narrow(extent.rows), most_rows);
    choose_sixteen(kernels.adapter, asked, workgroup, rows, narrow(extent.width()))
}

/// What a plan asks of its row kernel.
fn row_request(terms: InnerTerms, request: &PlanRequest, extent: &Extent) -> RowRequest {
    RowRequest {
        terms,
        targets: request.targets,
        storage: request.storage,
        logits: request.logits,
        gradient: request.gradient,
        straddle: extent.straddles(),
        argmax: request.argmax,
    }
}

/// What a batch has to bring for a loss with these terms.
pub(crate) fn wants(terms: &InnerTerms, influence: bool) -> Wants {
    Wants {
        gates: terms.gate_given.then_some("the gate's source `Given`"),
        feature_norms: influence.then_some("the influence-balanced loss"),
        ..Wants::default()
    }
}

/// What a plan holds on to from its first spec.
const PLANNED: &str = "for the terms of its first spec (class scale, bias, seesaw, gates, smoothing)";

impl SoftmaxPasses {
    /// Takes a spec's numbers into the plan's memory; `after` gives a regulariser's columns of a range of classes. Compiles
    /// where class weights come to targets of every class that had none.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for other terms than the plan was made for; those of [`class_arena`] and
    /// [`Kernels::pipeline`].
    pub(crate) fn take(
        &mut self,
        core: &mut Core,
        spec: &SoftmaxLoss,
        after: impl Fn(Range<usize>) -> Vec<f32>,
    ) -> Result<()> {
        let terms = terms_to_go_on_with(&self.terms, spec, core.request.targets);
        let Some(terms) = terms.filter(|_| spec.seesaw.is_some() == self.counting.is_some()) else {
            return Err(Error::Unexpected { what: "a spec with other terms", planned: PLANNED });
        };
        if terms != self.terms {
            let rows = row_request(terms, &core.request, &core.extent);
            self.steps =
                Steps::new(&core.kernels, &rows, core.choice, &core.request, &core.extent, self.manner)?;
            self.terms = terms;
        }
        let columns = self.columns.clone().with(&ClassColumns::new(spec, &self.terms));
        if columns != self.columns {
            core.memory.classes = class_arena(&core.kernels, &core.cut, columns.len() + self.regulariser)?;
            self.columns = columns;
        }
        let numbers = SoftmaxNumbers::new(spec, core.extent.rows, &self.columns, core.request.row_weights);
        core.memory.write_spec(&core.kernels, bytemuck::bytes_of(&numbers))?;
        let table = |range: Range<usize>| [self.columns.table(spec, range.clone()), after(range)].concat();
        core.memory.write_classes(&core.kernels, &core.class_ranges(), table)?;
        self.influence = spec.influence.is_some();
        self.label_denominator = numbers.reduction != 0;
        if let Some(counting) = &mut self.counting {
            counting.update(spec);
        }
        Ok(())
    }

    /// The kernel of rows that go along with a regulariser's columns, and how many parts of these it leaves.
    pub(crate) fn and_columns(&self) -> Option<(&Step, u32)> {
        match (&self.steps.rows, self.manner.sixteen) {
            (RowSteps::AndColumns(step), Some(sixteen)) => Some((step, sixteen.parts)),
            _ => None,
        }
    }

    /// Where a regulariser's columns of the class table begin.
    pub(crate) fn own_columns(&self) -> u64 {
        self.columns.len()
    }

    /// Counts, labels and the gates' key.
    fn start(&self, recorder: &mut Recorder<'_>) {
        if let Some(counting) = &self.counting {
            counting.record(recorder);
        }
        recorder.over_windows(&self.steps.prepare);
    }

    /// What rows that are split know of their labels, and the raw mass where seesaw's floor needs it.
    fn labels(&self, recorder: &mut Recorder<'_>, split: &SplitSteps) {
        if let Some(step) = &split.label_logits {
            recorder.over_windows(step);
        }
        if let Some(step) = &split.raw {
            recorder.over_windows(step);
        }
    }

    fn threshold(&self, recorder: &mut Recorder<'_>, split: &SplitSteps) {
        if let Some(step) = &split.threshold {
            recorder.over_rows(step);
        }
    }

    fn denominator(&self, recorder: &mut Recorder<'_>) {
        if !self.label_denominator {
            return;
        }
        if let Some(step) = &self.steps.share_sums {
            recorder.over_rows(step);
        }
        recorder.once(&self.steps.denominator);
    }

    fn stitch(&self, recorder: &mut Recorder<'_>) {
        if let Some(step) = &self.steps.stitch {
            recorder.over_elements(step);
        }
    }
}
