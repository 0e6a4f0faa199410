//! LADE's plans: a regulariser over the columns of the batch.

mod key;

pub use key::{LadeDriver, LadeKey};

use super::kernels::Kernels;
use super::plan::{
    Bound, Core, Extent, Kept, Launch, Memory, Needs, Passes, ROW_WORKGROUP, Recorder, SMALL_WORKGROUP,
    SUM_ITEMS, Step, Wants, Window, uniform,
};
use super::request::PlanRequest;
use super::softmax::{SoftmaxNumbers, plain_numbers};
use super::view::View;
use super::walk::{self, Around, Walk, saved_extra};
use crate::batch::TargetKind;
use crate::lade::LadeLoss;
use crate::loss::Loss;
use crate::{Error, Reduction, Result};
use std::ops::Range;

/// The uniform block of the regulariser, the twin of `Numbers` in `shaders/lade/numbers.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there")]
pub struct LadeNumbers {
    pub lambda: f32,
    pub weight: f32,
    pub old_factor: f32,
}

const NUMBERS: &str = "longtail lade";
/// Columns of the class table, of which the spec gives the first two.
const CLASS_COLUMNS: u64 = 8;

/// A plan's passes: the regulariser, without the cross-entropy.
#[derive(Debug)]
pub(crate) struct LadePasses {
    around: Around,
    rows: Step,
    columns: Step,
    close: Step,
    gradient: Step,
    numbers: wgpu::Buffer,
    /// Whether the regulariser is added to a cross-entropy.
    based: bool,
}

/// Plans the regulariser of a loss that has passed its check; its cross-entropy is left out.
///
/// # Errors
/// As [`Kernels::plan`].
pub(crate) fn plan(
    kernels: &Kernels,
    spec: &LadeLoss,
    request: &PlanRequest,
) -> Result<(Core, Box<dyn Passes>)> {
    walk::check_request(request)?;
    if request.row_weights {
        let planned = "for a loss of the whole batch, which has no use for them";
        return Err(Error::Unexpected { what: "row weights", planned });
    }
    let extent = Extent::new(request)?;
    let choice =
        walk::choose(kernels.adapter, request, &extent, Walk { columns: extent.width(), lanes: None })?;
    let (logits, gradient) = walk::cells(request, choice);
    let saved_fields = saved_extra(gradient) + 1;
    let needs = Needs {
        class_bytes: 4 * CLASS_COLUMNS,
        row_fields: 14,
        saved_fields,
        rows_in_a_loop: true,
        most_rows: request.most_rows,
        ..Needs::default()
    };
    let cut = extent.cut(kernels, choice, &needs)?;
    let many_rows = cut.ranges.rows.len() > 1 || extent.rows > SUM_ITEMS;
    let reading = |driver, workgroup| LadeKey::reading(driver, logits, gradient, workgroup);
    let of_gradient = LadeKey {
        driver: LadeDriver::Gradient,
        storage: request.storage,
        logits,
        gradient,
        straddle: extent.straddles() && logits.packed() && gradient.packed(),
        workgroup: choice.workgroup,
        adds: request.added_gradient,
    };
    let columns = Launch::Columns { columns: key::COLUMNS };
    let passes = LadePasses {
        around: Around::new(kernels, TargetKind::Hard, request, &extent, choice, many_rows)?,
        rows: Step::new(kernels, reading(LadeDriver::Rows, choice.workgroup), Launch::Rows)?,
        columns: Step::new(kernels, reading(LadeDriver::Columns, ROW_WORKGROUP), columns)?,
        close: Step::new(kernels, reading(LadeDriver::Close, SMALL_WORKGROUP), Launch::Once)?,
        gradient: Step::new(kernels, of_gradient, Launch::Pieces { lanes: 1 })?,
        numbers: uniform(kernels, NUMBERS, 16)?,
        based: spec.cross_entropy.is_some(),
    };
    let kept = Kept {
        row_fields: 7,
        saved_fields,
        class_columns: CLASS_COLUMNS,
        spec: std::mem::size_of::<SoftmaxNumbers>() as u64,
        many_rows,
    };
    let memory = Memory::new(kernels, &cut, kept)?;
    let core = Core::new(kernels, request, choice, extent, cut, memory)?;
    Ok((core, Box::new(passes)))
}

/// Narrows a checked number.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the kernels compute in")]
fn narrow(value: f64) -> f32 {
    value as f32
}

impl Passes for LadePasses {
    fn steps(&self) -> Vec<&Step> {
        let mut steps = self.around.before();
        steps.extend([&self.rows, &self.columns]);
        steps.extend(self.around.after());
        steps.extend([&self.close, &self.gradient]);
        steps.extend(self.around.last());
        steps
    }

    fn wants(&self) -> Wants {
        Wants { whole_batch: true, ..Wants::default() }
    }

    fn forward(&self, recorder: &mut Recorder<'_>) {
        self.around.start(recorder, true);
        recorder.over_windows(&self.rows);
        recorder.over_elements(&self.columns);
        self.around.finish(recorder);
        recorder.over_classes(&self.close);
    }

    fn backward(&self, recorder: &mut Recorder<'_>) {
        // A row's edges are those of its last window: each is stitched before the next.
        recorder.over_elements_in_turn(std::iter::once(&self.gradient).chain(self.around.last()));
    }

    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()> {
        let Loss::Lade(spec) = loss else {
            return Err(Error::Unexpected { what: "a loss of another family", planned: "for LADE" });
        };
        if spec.cross_entropy.is_some() != self.based {
            let what = "a spec with or without a cross-entropy";
            return Err(Error::Unexpected { what, planned: "the other way" });
        }
        let rows = plain_numbers(Reduction::MeanKept, spec.ignore_index, core.extent.rows, false);
        core.memory.write_spec(&core.kernels, bytemuck::bytes_of(&rows))?;
        let (lambda, weight) = (narrow(spec.lambda), narrow(spec.weight));
        let numbers = LadeNumbers { lambda, weight, old_factor: 1.0 };
        let buffer = &self.numbers;
        core.kernels.scoped("a plan's numbers", || {
            core.kernels.queue.write_buffer(buffer, 0, bytemuck::bytes_of(&numbers));
            Ok(())
        })?;
        core.memory.write_classes(&core.kernels, &core.class_ranges(), |range| table(spec, range))
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

    fn manner(&self, _core: &Core) -> String {
        format!("columns in runs of {} per workgroup, rows streamed for the gradient", key::COLUMNS)
    }
}

/// The spec's columns of a range of classes; the others are the kernels' own.
fn table(spec: &LadeLoss, range: Range<usize>) -> Vec<f32> {
    let width = range.len();
    let mut table = Vec::new();
    for column in [&spec.log_ratio, &spec.class_weights] {
        table.extend(column.get(range.clone()).unwrap_or(&[]).iter().map(|value| narrow(*value)));
    }
    table.resize(width * usize::try_from(CLASS_COLUMNS).unwrap_or(8), 0.0);
    table
}
