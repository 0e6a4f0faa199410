//! Range loss's plans: distances of the batch's features, which are in the logits' place.

mod key;

pub use key::{RangeDriver, RangeKey};

use super::kernels::Kernels;
use super::lade::{LadeDriver, LadeKey};
use super::plan::{
    Bound, Core, Extent, Kept, LONGEST_LOOP, Launch, Memory, Needs, Passes, ROW_WORKGROUP, Recorder,
    SMALL_WORKGROUP, Step, Wants, Window, many_rows, sums_workgroup, uniform,
};
use super::request::PlanRequest;
use super::shader::{InnerTerms, Storage};
use super::view::View;
use super::walk::{self, Around, Walk, saved_extra};
use crate::batch::TargetKind;
use crate::loss::Loss;
use crate::range_loss::RangeLoss;
use crate::{Error, Result};

/// The uniform block of range loss, the twin of `Numbers` in `shaders/range/numbers.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there")]
pub struct RangeNumbers {
    pub pairs: u32,
    pub margin: f32,
    pub intra_weight: f32,
    pub inter_weight: f32,
    pub ignore_index: i32,
    pub has_ignore_index: u32,
}

const NUMBERS: &str = "longtail range loss";
/// Fields of a row before its class's pairs, and of one pair.
const ROW_FIELDS: u64 = 10;
const PAIR_FIELDS: u64 = 3;
/// Pairs that a class may have on the device.
const MOST_PAIRS: u32 = 64;

/// A plan's passes.
#[derive(Debug)]
pub(crate) struct RangePasses {
    around: Around,
    group: Step,
    rows: Step,
    pairs: Step,
    close: Step,
    gradient: Step,
    numbers: wgpu::Buffer,
    planned_pairs: u32,
}

fn limit(what: &str, needed: u64, allowed: u64, cure: &'static str) -> Error {
    Error::Limit { what: what.into(), needed, allowed, cure }
}

/// Plans a loss that has passed its check.
///
/// # Errors
/// As [`Kernels::plan`]; [`Error::Combination`] in place, [`Error::Limit`] for more than 32,767 rows or columns, more than
/// 64 pairs, and batches beyond one binding.
pub(crate) fn plan(
    kernels: &Kernels,
    spec: &RangeLoss,
    request: &PlanRequest,
) -> Result<(Core, Box<dyn Passes>)> {
    walk::check_request(request)?;
    if request.storage == Storage::InPlace {
        return Err(Error::Combination {
            first: "a gradient in place",
            second: "range loss, whose rows read each other's features",
            cure: "give the gradient a buffer of its own",
        });
    }
    if request.row_weights {
        let planned = "for a loss of the whole batch, which has no use for them";
        return Err(Error::Unexpected { what: "row weights", planned });
    }
    let extent = Extent::new(request)?;
    if spec.pairs > MOST_PAIRS {
        let cure = "use the reference, or fewer pairs";
        return Err(limit("pairs of a class", u64::from(spec.pairs), u64::from(MOST_PAIRS), cure));
    }
    let longest = extent.rows.max(extent.width());
    if longest >= LONGEST_LOOP {
        return Err(limit("rows or columns of range loss", longest, LONGEST_LOOP - 1, "use fewer rows"));
    }
    let choice =
        walk::choose(kernels.adapter, request, &extent, Walk { columns: extent.width(), lanes: None })?;
    let (logits, gradient) = walk::cells(request, choice);
    let saved_fields = saved_extra(gradient) + ROW_FIELDS + PAIR_FIELDS * u64::from(spec.pairs);
    let needs = Needs { row_fields: 1, saved_fields, ..Needs::default() };
    let cut = extent.cut(kernels, choice, &needs)?;
    if cut.windows.len() > 1 {
        return Err(limit(
            "the windows of range loss, whose rows meet each other,",
            cut.windows.len() as u64,
            1,
            "give features in one block, or request the device with a higher max_storage_buffer_binding_size",
        ));
    }
    let many_rows = many_rows(&cut, extent.rows);
    let of_gradient = RangeKey {
        driver: RangeDriver::Gradient,
        storage: request.storage,
        logits,
        gradient,
        straddle: extent.straddles() && logits.packed() && gradient.packed(),
        workgroup: choice.workgroup,
        adds: request.added_gradient,
    };
    let key = |driver, workgroup| RangeKey {
        driver,
        storage: Storage::Separate,
        straddle: false,
        workgroup,
        adds: false,
        ..of_gradient
    };
    let rows = LadeKey::reading(LadeDriver::Rows, logits, gradient, choice.workgroup);
    let small = |driver, launch| Step::new(kernels, key(driver, SMALL_WORKGROUP), launch);
    let passes = RangePasses {
        around: Around::new(
            kernels,
            (TargetKind::Hard, InnerTerms::default()),
            request,
            &extent,
            choice,
            many_rows,
        )?,
        group: small(RangeDriver::Group, Launch::RowThreads)?,
        rows: Step::new(kernels, rows, Launch::Rows)?,
        pairs: Step::new(kernels, key(RangeDriver::Pairs, ROW_WORKGROUP), Launch::Rows)?,
        close: Step::new(kernels, key(RangeDriver::Close, sums_workgroup(kernels)), Launch::Once)?,
        gradient: Step::new(kernels, of_gradient, Launch::Pieces { lanes: 1 })?,
        numbers: uniform(kernels, NUMBERS, 32)?,
        planned_pairs: spec.pairs,
    };
    let kept = Kept { row_fields: 1, saved_fields, class_columns: 0, spec: 0, many_rows };
    let memory = Memory::new(kernels, &cut, kept)?;
    let core = Core::new(kernels, request, choice, extent, cut, memory)?;
    Ok((core, Box::new(passes)))
}

/// Narrows a checked number.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the kernels compute in")]
fn narrow(value: f64) -> f32 {
    value as f32
}

impl Passes for RangePasses {
    fn steps(&self) -> Vec<&Step> {
        let mut steps = vec![&self.group, &self.rows, &self.pairs];
        steps.extend(self.around.after());
        steps.extend([&self.close, &self.gradient]);
        steps.extend(self.around.last());
        steps
    }

    fn wants(&self) -> Wants {
        Wants { whole_batch: true, ..Wants::default() }
    }

    fn forward(&self, recorder: &mut Recorder<'_>) {
        recorder.over_rows(&self.group);
        recorder.over_rows(&self.rows);
        recorder.over_rows(&self.pairs);
        self.around.finish(recorder);
        recorder.over_rows(&self.close);
    }

    fn backward(&self, recorder: &mut Recorder<'_>) {
        recorder.over_elements_in_turn(std::iter::once(&self.gradient).chain(self.around.last()));
    }

    fn update(&mut self, core: &mut Core, loss: &Loss<'_>) -> Result<()> {
        let Loss::Range(spec) = loss else {
            return Err(Error::Unexpected { what: "a loss of another family", planned: "for range loss" });
        };
        if spec.pairs != self.planned_pairs {
            let planned = "for as many as its first spec has";
            return Err(Error::Unexpected { what: "another number of pairs", planned });
        }
        let numbers = RangeNumbers {
            pairs: spec.pairs,
            margin: narrow(spec.margin),
            intra_weight: narrow(spec.intra_weight),
            inter_weight: narrow(spec.inter_weight),
            ignore_index: spec.ignore_index.unwrap_or(0),
            has_ignore_index: u32::from(spec.ignore_index.is_some()),
        };
        let buffer = &self.numbers;
        core.kernels.scoped("a plan's numbers", || {
            core.kernels.queue.write_buffer(buffer, 0, bytemuck::bytes_of(&numbers));
            Ok(())
        })
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
        "a workgroup for the pairs of each class, rows streamed for the gradient".into()
    }
}
