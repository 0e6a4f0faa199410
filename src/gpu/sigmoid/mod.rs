//! The sigmoid family's plans.

mod down_columns;
pub(crate) mod key;
mod quotas;
mod spec;
mod steps;
mod sums;
mod table;
mod terms;
mod text;
mod whole_rows;

pub use key::{SigmoidDriver, SigmoidKey};
pub use spec::SigmoidNumbers;
pub use sums::DeviceGradientSums;
pub use terms::SigmoidTerms;

use super::choice::{DOWN_ROWS, RowChoice, choose_elementwise, choose_whole_rows};
use super::kernels::Kernels;
use super::plan::{
    Bound, Core, Extent, Kept, Memory, Needs, Passes, Recorder, Step, Wants, Window, check_choice, many_rows,
    narrow,
};
use super::request::{Mode, PlanRequest};
use super::shader::{Cell, SAVED_OUTPUTS};
use super::view::View;
use crate::batch::TargetKind;
use crate::loss::Loss;
use crate::random::quota;
use crate::sigmoid::{Link, SigmoidLoss, WeightNorm};
use crate::{Error, Reduction, Result};
use quotas::{QUOTAS, quota_buffer};
use spec::{GROUPS, inner_terms, table as class_table};
use steps::{Made, Settle, Steps};
use whole_rows::{held, of_whole_rows};

/// Fields per row that are prepared (`shaders/sigmoid/fields.wgsl`).
const ROW_FIELDS: u64 = 9;
/// Rows that one workgroup prepares, or marks as drawn, in less time than another dispatch takes.
const ROWS_ALONE: u64 = 2048;
/// Fields of one slot of a row that is split.
const SLOT_FIELDS: u64 = 4;

/// The first field of `saved` after the outputs and a packed gradient's edges.
pub(crate) fn saved_extra(gradient: Cell) -> u64 {
    SAVED_OUTPUTS + if gradient.packed() { 2 } else { 0 }
}

/// A plan's passes.
#[derive(Debug)]
pub(crate) struct SigmoidPasses {
    made: Made,
    link: Link,
    steps: Steps,
    sums: Option<DeviceGradientSums>,
    /// What each workgroup of rows adds to them, of one window.
    parts: Option<wgpu::Buffer>,
    /// The class table of software adapters.
    class_block: Option<wgpu::Buffer>,
    /// `[3, N + 1]`: how many background rows are drawn for a group, by how many there are.
    quotas: Option<wgpu::Buffer>,
    /// Whether some number depends on all rows' targets.
    totals: bool,
    /// Whether the written gradient has all that is accumulated.
    sums_of_written: bool,
}

/// Plans a loss that has passed its check.
///
/// # Errors
/// As [`Kernels::plan`].
pub(crate) fn plan(
    kernels: &Kernels,
    spec: &SigmoidLoss,
    request: &PlanRequest,
) -> Result<(Core, Box<dyn Passes>)> {
    refuse(spec, request)?;
    let extent = Extent::new(request)?;
    let terms = inner_terms(spec);
    let whole_rows = spec.link == Link::Softmax;
    let (adapter, rows, classes) = (kernels.adapter, narrow(extent.rows), narrow(extent.width()));
    let elements = [request.logits, request.gradient];
    let choice = match (request.choice, whole_rows) {
        (Some(choice), _) => choice,
        (None, true) => choose_whole_rows(adapter, rows, classes, elements, |choice| {
            let RowChoice { lanes, workgroup, .. } = choice;
            let key = SigmoidKey::new(SigmoidDriver::SoftmaxLink, request.targets, workgroup);
            let bytes = SigmoidKey { lanes, argmax: request.argmax, ..key }.workgroup_bytes();
            bytes <= adapter.max_workgroup_bytes
        }),
        // Sums over columns not where a window has few rows.
        (None, false) => {
            let sums = terms.balance && 4 * 64 * extent.width() <= kernels.max_binding();
            choose_elementwise(adapter, rows, classes, elements, sums)
        }
    };
    let choice = match whole_rows {
        true => {
            let lanes = if down_columns::walk(choice) > 0 { 4 } else { choice.lanes };
            let workgroup = of_whole_rows(kernels, choice, &extent)?;
            RowChoice { chip: 0, split: 1, lanes, workgroup, ..choice }
        }
        false => RowChoice { chip: 0, ..choice },
    };
    let logits = Cell::new(request.logits, choice.native_f16);
    let gradient = Cell::new(request.gradient, choice.native_f16);
    let key = |choice: RowChoice| SigmoidKey {
        terms,
        storage: request.storage,
        logits,
        gradient,
        straddle: extent.straddles() && logits.packed() && gradient.packed(),
        lanes: if down_columns::walk(choice) > 0 { 4 } else { choice.lanes },
        walk: down_columns::walk(choice),
        argmax: request.argmax,
        sums: true,
        ..SigmoidKey::new(
            match (whole_rows, down_columns::walk(choice)) {
                (true, _) => SigmoidDriver::SoftmaxLink,
                (false, 0) => SigmoidDriver::Rows,
                (false, _) => SigmoidDriver::DownColumns,
            },
            request.targets,
            choice.workgroup,
        )
    };
    let written = |choice| SigmoidKey { writes: true, ..key(choice) };
    let choice = down_columns::narrowed(kernels, choice, extent.width(), written);
    let rows = key(choice);
    check_choice(RowChoice { lanes: rows.lanes, ..choice }, narrow(extent.width()), written(choice).width())?;
    let columns = terms.columns().len() as u64;
    let extra = saved_extra(rows.gradient);
    let needs = Needs {
        dense: request.targets == TargetKind::MultiHot || terms.takes_gates(),
        class_bytes: (4 * columns).max(if terms.balance { DeviceGradientSums::BYTES } else { 0 }),
        row_fields: ROW_FIELDS,
        saved_fields: extra,
        slot_fields: SLOT_FIELDS,
        rows_in_a_loop: terms.balance,
        step: down_columns::step(&SigmoidKey { writes: request.mode == Mode::LossAndGrad, ..key(choice) }),
        ..Needs::default()
    };
    let cut = extent.cut(kernels, choice, &needs)?;
    if whole_rows && cut.split {
        return Err(Error::Limit {
            what: "a row under the softmax link (bytes in one binding)".into(),
            needed: extent.width() * extent.logits.bytes.max(4),
            allowed: kernels.max_binding(),
            cure: "request the device with a higher max_storage_buffer_binding_size",
        });
    }
    // Slots of rows that are split count as rows do: where they are summed, they are closed.
    let slots = if cut.split { u64::from(cut.slots) } else { 1 };
    let many_rows = many_rows(&cut, extent.rows.saturating_mul(slots));
    let one_window = cut.windows.len() == 1;
    let class_vectors = table::vectors(kernels, columns, &cut);
    let held = if whole_rows { held(kernels, choice, &extent) } else { 0 };
    let rows = SigmoidKey { split: cut.split, class_vectors, held, ..rows };
    let few = extent.rows <= ROWS_ALONE;
    let settle = match request.targets {
        _ if !one_window || terms.draws && !few => Settle::Apart,
        // Accumulated gradients have a thread for each class there.
        TargetKind::Hard if few && !terms.balance && (terms.draws || totals(spec)) => Settle::Alone,
        _ => Settle::Along,
    };
    let made = Made { rows, settle, many_rows, one_window };
    let steps = Steps::new(kernels, made, request, &extent)?;
    let kept = Kept {
        row_fields: ROW_FIELDS,
        saved_fields: extra + if cut.split { u64::from(cut.slots) * SLOT_FIELDS } else { 0 },
        class_columns: if class_vectors > 0 { 0 } else { columns },
        spec: std::mem::size_of::<SigmoidNumbers>() as u64,
        many_rows,
    };
    let memory = Memory::new(kernels, &cut, kept)?;
    let class_block = match class_vectors {
        0 => None,
        vectors => Some(table::block(kernels, vectors)?),
    };
    let sums = sums_for(kernels, spec, request)?;
    let parts = match rows.leaves_parts() {
        true => Some(down_columns::parts(kernels, &extent, &cut, rows.walk)?),
        false => None,
    };
    let quotas = match terms.draws {
        true => Some(quota_buffer(kernels, extent.rows)?),
        false => None,
    };
    let core = Core::new(kernels, request, choice, extent, cut, memory)?;
    let passes = SigmoidPasses {
        made,
        link: spec.link,
        steps,
        sums,
        parts,
        class_block,
        quotas,
        totals: true,
        sums_of_written: false,
    };
    Ok((core, Box::new(passes)))
}

/// The smallest reciprocal denominator whose gradients keep their digits in f32.
const SMALLEST_INVERSE: f32 = 1e-15;

/// Whether some number depends on all rows' targets.
fn totals(spec: &SigmoidLoss) -> bool {
    let counted = matches!(spec.reduction, Reduction::MeanKept | Reduction::Positives);
    counted || spec.weight_norm == WeightNorm::Batch
}

/// What plans of this family do not do.
fn refuse(spec: &SigmoidLoss, request: &PlanRequest) -> Result<()> {
    if request.shard.is_some() {
        return Err(Error::Combination {
            first: "a shard of the classes",
            second: "sigmoids",
            cure: "plan the shard's classes as a loss of their own: no class looks at another; add up the losses",
        });
    }
    if request.class_scale_gradient {
        let what = "a gradient of class scales";
        return Err(Error::Unexpected { what, planned: "for a loss that has none" });
    }
    let gate = spec.gate.as_ref().map(|gate| (gate.seed, gate.step));
    let suppression = spec.suppression.as_ref().map(|term| (term.seed, term.step));
    if gate.is_some() && suppression.is_some() && gate != suppression {
        return Err(Error::Combination {
            first: "gates",
            second: "drawn rows of another seed or step",
            cure: "give both the same seed and step: they use different streams of it",
        });
    }
    Ok(())
}

/// The accumulated gradients of a plan with gradient balance: shared ones, or new ones from the spec.
fn sums_for(
    kernels: &Kernels,
    spec: &SigmoidLoss,
    request: &PlanRequest,
) -> Result<Option<DeviceGradientSums>> {
    let Some(balance) = &spec.gradient_balance else { return Ok(None) };
    match &request.gradient_sums {
        Some(shared) if shared.classes() != request.classes => Err(Error::Length {
            what: "shared gradient sums",
            expected: request.classes as u64,
            found: shared.classes() as u64,
        }),
        Some(shared) => Ok(Some(shared.clone())),
        None => DeviceGradientSums::new(kernels, &balance.sums).map(Some),
    }
}

impl Passes for SigmoidPasses {
    fn steps(&self) -> Vec<&Step> {
        let steps = &self.steps;
        let all = [
            steps.refresh.as_ref(),
            Some(&steps.prepare),
            steps.draw.as_ref(),
            steps.settle.as_ref(),
            steps.totals.as_ref().filter(|_| self.totals),
            steps.column_sums.as_ref().filter(|_| !self.sums_of_written),
            Some(&steps.rows),
            steps.part_sums.as_ref(),
            steps.written_sums.as_ref().filter(|_| self.sums_of_written),
            steps.loss_sums.as_ref(),
            Some(&steps.finish),
            steps.factor.as_ref(),
            steps.backward.as_ref(),
            steps.stitch.as_ref(),
        ];
        all.into_iter().flatten().collect()
    }

    fn wants(&self) -> Wants {
        let gates = "the spec's gates, drawn rows or weights with source `Given`";
        Wants {
            gates: self.made.rows.terms.takes_gates().then_some(gates),
            no_statistics: true,
            ..Wants::default()
        }
    }

    fn prepare(&self, recorder: &mut Recorder<'_>) {
        let steps = &self.steps;
        if let Some(step) = &steps.refresh {
            recorder.over_classes(step);
        }
        match self.made.settle {
            // Also where there is no row: it makes the denominator.
            Settle::Alone => recorder.once(&steps.prepare),
            _ => recorder.over_windows(&steps.prepare),
        }
        if let Some(step) = &steps.draw {
            recorder.once(step);
        }
        if let Some(step) = &steps.settle {
            recorder.over_rows(step);
        }
        if let Some(step) = steps.totals.as_ref().filter(|_| self.totals) {
            recorder.over_ranges(step);
        }
    }

    fn rows(&self, recorder: &mut Recorder<'_>) {
        let steps = &self.steps;
        // Before the gradient: in place, it leaves no logits.
        if let Some(step) = steps.column_sums.as_ref().filter(|_| !self.sums_of_written) {
            recorder.over_elements(step);
        }
        let stitch = steps.stitch.as_ref().filter(|_| steps.backward.is_none());
        // Each window before the next takes the place of its parts.
        recorder.over_elements_in_turn(std::iter::once(&steps.rows).chain(stitch).chain(&steps.part_sums));
        if let Some(step) = steps.written_sums.as_ref().filter(|_| self.sums_of_written) {
            recorder.over_elements(step);
        }
    }

    fn finish(&self, recorder: &mut Recorder<'_>) {
        let steps = &self.steps;
        if let Some(step) = &steps.loss_sums {
            recorder.over_rows(step);
        }
        recorder.once(&steps.finish);
    }

    fn backward(&self, recorder: &mut Recorder<'_>) {
        if let (Some(factor), Some(backward)) = (&self.steps.factor, &self.steps.backward) {
            recorder.over_rows(factor);
            recorder.over_elements_in_turn(std::iter::once(backward).chain(&self.steps.stitch));
        }
    }

    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()> {
        let planned = "for the terms of its first spec";
        let Loss::Sigmoid(spec) = loss else {
            return Err(Error::Unexpected { what: "a loss of another family", planned: "for sigmoids" });
        };
        let terms = inner_terms(spec);
        let old = self.made.rows.terms;
        // Whether gamma is 2 is a number's business, not a term's.
        if (SigmoidTerms { focal_square: old.focal_square, ..terms }) != old || spec.link != self.link {
            return Err(Error::Unexpected { what: "a spec with other terms", planned });
        }
        refuse(spec, &core.request)?;
        if terms != old {
            let made = Made { rows: SigmoidKey { terms, ..self.made.rows }, ..self.made };
            self.steps = Steps::new(&core.kernels, made, &core.request, &core.extent)?;
            self.made = made;
        }
        let (rows, classes) = (core.extent.rows, core.extent.width());
        let numbers = SigmoidNumbers::new(spec, rows, classes, core.request.row_weights);
        core.memory.write_spec(&core.kernels, bytemuck::bytes_of(&numbers))?;
        let targets = core.request.targets;
        let table = |range| class_table(spec, &terms, targets, range);
        match &self.class_block {
            Some(block) => core.kernels.scoped("a plan's class table", || {
                let whole = core.class_ranges().first().cloned().map(table).unwrap_or_default();
                core.kernels.queue.write_buffer(block, 0, bytemuck::cast_slice(&whole));
                Ok(())
            })?,
            None => core.memory.write_classes(&core.kernels, &core.class_ranges(), table)?,
        }
        if let (Some(buffer), Some(term)) = (&self.quotas, &spec.suppression) {
            let rows = core.request.rows;
            let quotas: Vec<u32> = GROUPS
                .iter()
                .flat_map(|group| (0..=rows).map(|count| narrow(quota(term.share(*group).0, count) as u64)))
                .collect();
            core.kernels.scoped("quotas", || {
                core.kernels.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&quotas));
                Ok(())
            })?;
        }
        // The denominator is in what is written: nothing is left where it is 0 or too large.
        let kept = spec.reduction != Reduction::Positives
            && (spec.reduction == Reduction::MeanKept || numbers.fixed_inverse > SMALLEST_INVERSE);
        self.sums_of_written = self.steps.written_sums.is_some() && kept;
        self.totals = totals(spec);
        Ok(())
    }

    fn resource<'a>(
        &'a self,
        _core: &'a Core,
        bound: &'a Bound<'a>,
        name: &str,
        window: &Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        match name {
            "gradient_sums" => {
                window.classes_of(View::whole(&self.sums.as_ref()?.buffer), DeviceGradientSums::BYTES)
            }
            "gradient_parts" => View::whole(self.parts.as_ref()?).binding(),
            "written" => bound.gradient.or(bound.logits)?.part(window.block, window.gradient),
            // As storage without what rounds it up: a binding of storage may be shorter than a uniform block.
            "classes" => {
                let columns = self.made.rows.terms.columns().len() as u64;
                View::new(self.class_block.as_ref()?, 0, 4 * columns * u64::from(window.width())).binding()
            }
            "class_table" => View::whole(self.class_block.as_ref()?).binding(),
            "quotas" => View::whole(self.quotas.as_ref()?).binding(),
            "all_labels" => bound.labels?.binding(),
            _ => None,
        }
    }

    fn buffers(&self) -> Vec<(&'static str, u64)> {
        let sums = self.sums.iter().map(|sums| (DeviceGradientSums::LABEL, sums.bytes()));
        let block = self.class_block.iter().map(|buffer| (table::CLASS_TABLE, buffer.size()));
        let parts = self.parts.iter().map(|buffer| (down_columns::PARTS, buffer.size()));
        sums.chain(parts)
            .chain(block)
            .chain(self.quotas.iter().map(|buffer| (QUOTAS, buffer.size())))
            .collect()
    }

    fn manner(&self, core: &Core) -> String {
        let RowChoice { lanes, workgroup, .. } = core.choice;
        let pieces = core.cut.windows.first().map_or(1, |window| window.pieces);
        match self.link {
            Link::Softmax => {
                let manner = match self.made.rows.held {
                    0 => "read twice".to_owned(),
                    held => format!("held on chip, {held} columns per thread"),
                };
                format!("rows {manner}, {lanes} per workgroup of {workgroup} threads")
            }
            Link::Sigmoid if lanes >= DOWN_ROWS => {
                format!(
                    "down the columns in {pieces} pieces, {lanes} rows per workgroup of {workgroup} threads"
                )
            }
            Link::Sigmoid => {
                format!("rows in {pieces} pieces, {lanes} per workgroup of {workgroup} threads")
            }
        }
    }

    fn gradient_sums(&self) -> Option<&DeviceGradientSums> {
        self.sums.as_ref()
    }
}
