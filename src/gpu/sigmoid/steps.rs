//! The kernels of a plan, in the order in which they run.

use super::key::{SigmoidDriver, SigmoidKey, SigmoidTerms};
use crate::Result;
use crate::batch::TargetKind;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Extent, LONGEST_LOOP, Launch, ROW_WORKGROUP, SMALL_WORKGROUP, Step, sums_workgroup};
use crate::gpu::request::{Mode, PlanRequest};
use crate::gpu::shader::{Cell, Driver, KernelKey, Storage};

/// Where rows' weights are made of what their targets add up to, and drawn rows are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settle {
    /// Nothing depends on it.
    Nowhere,
    /// Where the rows are prepared and rows are drawn, which see all of a row and all rows in one window.
    Along,
    /// In a kernel of its own.
    Apart,
}

/// What decides the kernels beside the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    /// The kernel over rows, with all terms.
    pub rows: SigmoidKey,
    /// Whether rows need what their targets add up to before they are worked on, and by which kernel.
    pub settle: Settle,
    /// Whether the loss is summed in two steps.
    pub many_rows: bool,
    /// Whether one window has all rows and classes.
    pub one_window: bool,
}

/// The kernels of a plan.
#[derive(Debug)]
pub(super) struct Steps {
    pub refresh: Option<Step>,
    pub prepare: Step,
    pub draw: Option<Step>,
    pub settle: Option<Step>,
    pub totals: Step,
    pub column_sums: Option<Step>,
    pub written_sums: Option<Step>,
    pub part_sums: Option<Step>,
    pub rows: Step,
    pub loss_sums: Option<Step>,
    pub finish: Step,
    pub factor: Option<Step>,
    pub backward: Option<Step>,
    pub stitch: Option<Step>,
}

impl Steps {
    /// Compiles.
    ///
    /// # Errors
    /// Those of [`Kernels::pipeline`].
    pub(super) fn new(kernels: &Kernels, made: Made, request: &PlanRequest, extent: &Extent) -> Result<Self> {
        let Made { rows, settle, many_rows, one_window } = made;
        let optional = |wanted: bool, key: SigmoidKey, launch| {
            wanted.then(|| Step::new(kernels, key, launch)).transpose()
        };
        let multi_hot = rows.targets == TargetKind::MultiHot;
        let terms = rows.terms;
        let small = |driver| SigmoidKey::new(driver, rows.targets, SMALL_WORKGROUP);
        // Only the terms that decide the place of a column, or that the kernel looks at.
        let placed = |driver| SigmoidKey {
            terms: SigmoidTerms {
                bias_on_background: false,
                background: false,
                negative_scale: false,
                norm: false,
                sides: false,
                gate_draws: false,
                gate_given: false,
                suppression: false,
                weights_given: false,
                focal: false,
                focal_square: false,
                margin_summed: false,
                ..terms
            },
            ..small(driver)
        };
        let fused = request.mode == Mode::LossAndGrad;
        let pieces = match rows.driver {
            SigmoidDriver::SoftmaxLink => Launch::RowGroups { lanes: rows.lanes },
            _ => Launch::Pieces { lanes: rows.lanes },
        };
        let down_columns = rows.driver == SigmoidDriver::DownColumns;
        let forward_pieces = if down_columns { Launch::Pieces { lanes: 16 * rows.walk } } else { pieces };
        let forward = SigmoidKey { writes: fused, ..rows };
        let forward = match fused {
            true => forward,
            // A pass that does not write has no use for these.
            false => SigmoidKey { storage: Storage::Separate, straddle: false, ..forward },
        };
        let backward = SigmoidKey {
            writes: true,
            sums: false,
            argmax: false,
            factor_of_rows: true,
            split: false,
            // Nothing is accumulated any more.
            driver: if down_columns { SigmoidDriver::Rows } else { rows.driver },
            walk: 0,
            ..rows
        };
        let column_sums = SigmoidKey {
            driver: SigmoidDriver::ColumnSums,
            storage: Storage::Separate,
            gradient: Cell::F32,
            straddle: false,
            lanes: 1,
            workgroup: if kernels.adapter.software { 8 } else { 256.min(kernels.adapter.max_workgroup) },
            split: false,
            argmax: false,
            sums: false,
            writes: false,
            walk: 0,
            ..rows
        };
        let written_sums = SigmoidKey::new(SigmoidDriver::WrittenSums, rows.targets, column_sums.workgroup);
        let part_sums = SigmoidKey {
            walk: rows.walk,
            ..SigmoidKey::new(SigmoidDriver::PartSums, TargetKind::Hard, column_sums.workgroup)
        };
        let by_columns = Launch::Classes { each: 4 * column_sums.columns() };
        let of_pieces = |driver| SigmoidKey {
            argmax: rows.argmax,
            gradient: if rows.gradient.packed() { Cell::PackedF16 } else { Cell::F32 },
            ..SigmoidKey::new(driver, TargetKind::Hard, sums_workgroup(kernels))
        };
        // On the processor as wide as its vectors.
        let mut row_workgroup = if kernels.adapter.software { 8 } else { ROW_WORKGROUP };
        // Long rows: no thread has more columns than a loop may have iterations.
        while extent.width().div_ceil(u64::from(row_workgroup)) > 4 * LONGEST_LOOP
            && row_workgroup < kernels.adapter.max_workgroup
        {
            row_workgroup *= 2;
        }
        let refreshes = terms.balance && one_window && !multi_hot;
        let settles = settle == Settle::Along;
        let prepare = match multi_hot {
            true => SigmoidKey {
                settles,
                workgroup: row_workgroup,
                class_vectors: rows.class_vectors,
                ..placed(SigmoidDriver::Prepare)
            },
            false => SigmoidKey { settles, refreshes, ..placed(SigmoidDriver::Prepare) },
        };
        let prepared = match (multi_hot, refreshes) {
            (true, _) => Launch::RowGroups { lanes: 4 },
            (false, true) => Launch::RowAndClassThreads,
            (false, false) => Launch::RowThreads,
        };
        let draw = SigmoidKey {
            settles,
            workgroup: sums_workgroup(kernels),
            ..SigmoidKey::new(SigmoidDriver::Draw, rows.targets, SMALL_WORKGROUP)
        };
        let settled = SigmoidKey {
            terms: SigmoidTerms {
                row_weight: terms.row_weight,
                rebalance: terms.rebalance,
                draws: terms.draws,
                ..SigmoidTerms::default()
            },
            ..small(SigmoidDriver::Settle)
        };
        let shared = |driver, of_sums| KernelKey {
            of_sums,
            ..KernelKey::new(driver, TargetKind::Hard, sums_workgroup(kernels))
        };
        let in_place = request.storage == Storage::InPlace;
        let stitch = KernelKey {
            storage: if in_place { Storage::InPlace } else { Storage::Separate },
            logits: if in_place { rows.gradient } else { Cell::F32 },
            gradient: rows.gradient,
            ..KernelKey::new(Driver::Stitch, TargetKind::Hard, SMALL_WORKGROUP)
        };
        let stitched = extent.has_edges(rows.gradient.packed());
        Ok(Self {
            refresh: optional(
                terms.balance && !refreshes,
                placed(SigmoidDriver::Refresh),
                Launch::ClassThreads,
            )?,
            prepare: Step::new(kernels, prepare, prepared)?,
            draw: optional(terms.draws, draw, Launch::Once)?,
            settle: optional(settle == Settle::Apart, settled, Launch::RowThreads)?,
            totals: Step::new(
                kernels,
                SigmoidKey { workgroup: sums_workgroup(kernels), ..small(SigmoidDriver::Totals) },
                Launch::Once,
            )?,
            column_sums: optional(terms.balance && !down_columns, column_sums, by_columns)?,
            written_sums: optional(
                terms.balance && !down_columns && fused && rows.gradient == Cell::F32,
                written_sums,
                by_columns,
            )?,
            part_sums: optional(terms.balance && down_columns, part_sums, by_columns)?,
            rows: Step::new(kernels, forward, forward_pieces)?,
            loss_sums: match (many_rows, rows.split) {
                (false, _) => None,
                (true, true) => Some(Step::new(kernels, of_pieces(SigmoidDriver::LossSums), Launch::Sums)?),
                (true, false) => Some(Step::new(kernels, shared(Driver::LossSums, false), Launch::Sums)?),
            },
            finish: match rows.split && !many_rows {
                true => Step::new(kernels, of_pieces(SigmoidDriver::Finish), Launch::Once)?,
                false => Step::new(kernels, shared(Driver::Finish, many_rows), Launch::Once)?,
            },
            factor: optional(
                !fused,
                SigmoidKey::new(SigmoidDriver::Factor, TargetKind::Hard, SMALL_WORKGROUP),
                Launch::RowThreads,
            )?,
            backward: optional(!fused, backward, pieces)?,
            stitch: match stitched {
                true => Some(Step::new(kernels, stitch, Launch::RowThreads)?),
                false => None,
            },
        })
    }
}
