//! What the families share whose kernels walk along whole rows: how rows are laid over threads, and the passes that
//! prepare rows and reduce their losses.

use super::choice::{AdapterClass, RowChoice};
use super::kernels::Kernels;
use super::plan::{Extent, LONGEST_LOOP, Launch, Recorder, SMALL_WORKGROUP, Step, narrow, sums_workgroup};
use super::request::PlanRequest;
use super::shader::{Cell, Driver, InnerTerms, KernelKey, SAVED_OUTPUTS, Storage};
use super::softmax::placed;
use crate::batch::TargetKind;
use crate::{Error, Result};

/// What a family's kernels walk along.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Columns of the longest loop.
    pub columns: u64,
    /// Rows that a thread has on a processor, 1 or 4, where the kernels know both.
    pub lanes: Option<u32>,
}

/// A workgroup for each row or four rows, or each piece of them.
pub(super) fn choose(
    adapter: AdapterClass,
    request: &PlanRequest,
    extent: &Extent,
    walk: Walk,
) -> Result<RowChoice> {
    let columns = narrow(extent.width()).max(1);
    let mut choice = request.choice.unwrap_or_else(|| {
        let (wanted, lanes) = match adapter.software {
            true => (8, if extent.rows >= 4 { walk.lanes.unwrap_or(1) } else { 1 }),
            false => (columns.div_ceil(4).next_power_of_two().clamp(32, 256), 1),
        };
        let workgroup = wanted.min(previous_power_of_two(adapter.max_workgroup));
        let split = adapter.busy.div_ceil(narrow(extent.rows).max(1)).min(columns / 16_384).max(1);
        RowChoice::stream(lanes, workgroup).with_split(split)
    });
    choice.chip = 0;
    if walk.lanes.is_none() {
        choice.lanes = 1;
    }
    let steps = |choice: &RowChoice| walk.columns.div_ceil(u64::from(choice.workgroup));
    if request.choice.is_none() {
        while steps(&choice) >= LONGEST_LOOP && 2 * choice.workgroup <= adapter.max_workgroup {
            choice.workgroup *= 2;
        }
    }
    super::plan::check_choice(choice, columns, 1)?;
    match steps(&choice) < LONGEST_LOOP {
        true => Ok(choice),
        false => Err(Error::Limit {
            what: "columns of one row for each thread".into(),
            needed: steps(&choice),
            allowed: LONGEST_LOOP - 1,
            cure: "choose a larger workgroup, or request the device with a higher max_compute_invocations_per_workgroup",
        }),
    }
}

fn previous_power_of_two(value: u32) -> u32 {
    1 << value.max(1).ilog2()
}

/// The first field of `saved` that is a family's own.
pub(super) fn saved_extra(gradient: Cell) -> u64 {
    SAVED_OUTPUTS + if gradient.packed() { 2 } else { 0 }
}

/// How logits and gradient are read and written.
pub(super) fn cells(request: &PlanRequest, choice: RowChoice) -> (Cell, Cell) {
    (Cell::new(request.logits, choice.native_f16), Cell::new(request.gradient, choice.native_f16))
}

/// Refuses what only softmax plans, or plans without a gradient in place, can do.
///
/// # Errors
/// [`Error::Unexpected`] for shards and the class scales' gradient, [`Error::Combination`] for a gradient in place that
/// is added to.
pub(super) fn check_request(request: &PlanRequest) -> Result<()> {
    let planned = "for a loss that has none";
    if request.shard.is_some() {
        return Err(Error::Unexpected { what: "a shard", planned: "for a loss over all classes" });
    }
    if request.class_scale_gradient {
        return Err(Error::Unexpected { what: "the class scales' gradient", planned });
    }
    match request.added_gradient && request.storage == Storage::InPlace {
        false => Ok(()),
        true => Err(Error::Combination {
            first: "a gradient in place",
            second: "a gradient that is added to",
            cure: "give the gradient a buffer of its own",
        }),
    }
}

/// The kernels around those of the rows, which are the softmax family's: labels and denominators before, the reduced
/// loss and a packed gradient's shared words after.
#[derive(Debug)]
pub(super) struct Around {
    prepare: Step,
    share_sums: Option<Step>,
    denominator: Step,
    loss_sums: Option<Step>,
    finish: Step,
    stitch: Option<Step>,
}

impl Around {
    /// Compiles; the terms are those of a softmax loss whose rows are prepared.
    ///
    /// # Errors
    /// Those of [`Kernels::pipeline`].
    pub(super) fn new(
        kernels: &Kernels,
        (targets, terms): (TargetKind, InnerTerms),
        request: &PlanRequest,
        extent: &Extent,
        choice: RowChoice,
        many_rows: bool,
    ) -> Result<Self> {
        let (_, gradient) = cells(request, choice);
        let small = |driver| KernelKey::new(driver, targets, sums_workgroup(kernels));
        let step = |key: KernelKey, launch| Step::new(kernels, key, launch);
        let of_sums = |driver| KernelKey { of_sums: many_rows, ..small(driver) };
        let sums = |driver| many_rows.then(|| step(small(driver), Launch::Sums)).transpose();
        let in_place = request.storage == Storage::InPlace;
        let stitch = KernelKey {
            storage: if in_place { Storage::InPlace } else { Storage::Separate },
            logits: if in_place { gradient } else { Cell::F32 },
            gradient,
            ..KernelKey::new(Driver::Stitch, TargetKind::Hard, SMALL_WORKGROUP)
        };
        let edges = extent.has_edges(gradient.packed());
        Ok(Self {
            prepare: step(placed(Driver::Prepare, terms, targets), Launch::RowThreads)?,
            share_sums: sums(Driver::ShareSums)?,
            denominator: step(of_sums(Driver::Denominator), Launch::Once)?,
            loss_sums: sums(Driver::LossSums)?,
            finish: step(of_sums(Driver::Finish), Launch::Once)?,
            stitch: edges.then(|| step(stitch, Launch::RowThreads)).transpose()?,
        })
    }

    /// With other kernels that reduce the loss.
    pub(super) fn with_losses(mut self, loss_sums: Option<Step>, finish: Step) -> Self {
        (self.loss_sums, self.finish) = (loss_sums, finish);
        self
    }

    /// The kernels before those of the rows.
    pub(super) fn before(&self) -> Vec<&Step> {
        let steps = [Some(&self.prepare), self.share_sums.as_ref(), Some(&self.denominator)];
        steps.into_iter().flatten().collect()
    }

    /// The kernels that reduce the loss.
    pub(super) fn after(&self) -> Vec<&Step> {
        self.loss_sums.iter().chain([&self.finish]).collect()
    }

    /// The kernel after the gradient's.
    pub(super) fn last(&self) -> Option<&Step> {
        self.stitch.as_ref()
    }

    /// Labels, and the denominator where it depends on them.
    pub(super) fn start(&self, recorder: &mut Recorder<'_>, by_labels: bool) {
        recorder.over_windows(&self.prepare);
        if by_labels {
            if let Some(step) = &self.share_sums {
                recorder.over_rows(step);
            }
            recorder.once(&self.denominator);
        }
    }

    /// The reduced loss and the status.
    pub(super) fn finish(&self, recorder: &mut Recorder<'_>) {
        if let Some(step) = &self.loss_sums {
            recorder.over_rows(step);
        }
        recorder.once(&self.finish);
    }
}
