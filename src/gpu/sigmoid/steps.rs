//! The kernels of a plan, in the order in which they run.

use super::key::{SigmoidDriver, SigmoidKey};
use super::terms::SigmoidTerms;
use crate::Result;
use crate::batch::TargetKind;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{
    Extent, LONGEST_LOOP, Launch, ROW_WORKGROUP, SMALL_WORKGROUP, Step, narrow, sums_workgroup,
};
use crate::gpu::request::{Mode, PlanRequest};
use crate::gpu::shader::{Cell, Driver, KernelKey, Storage};

/// Where rows' weights are made of what their targets add up to, drawn rows are marked, and the denominator is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settle {
    /// Where the rows are prepared and rows are drawn, which see all of a row and all rows in one window.
    Along,
    /// As before, and all of it by one workgroup.
    Alone,
    /// In a kernel of its own.
    Apart,
}

/// What decides the kernels beside the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    /// The kernel over rows, with all terms.
    pub rows: SigmoidKey,
    /// How rows get what they need before they are worked on.
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
    pub totals: Option<Step>,
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
        let mut last = of_pieces(SigmoidDriver::Finish);
        let (finish_once, mut finish) = (rows.split && !many_rows, Launch::Once);
        // One window: its parts wait for the kernel that adds up losses.
        let beside = down_columns && terms.balance && one_window && finish_once;
        if beside {
            last.walk = rows.walk;
            while last.workgroup > 1 && last.workgroup_bytes() > kernels.adapter.max_workgroup_bytes {
                last.workgroup /= 2;
            }
            finish = Launch::OnceAndClasses { each: 4 * last.columns() };
        }
        let refreshes = terms.balance && one_window && !multi_hot;
        // What a row's positives weigh, or its largest weight.
        let weighs = terms.norm || terms.row_weight && multi_hot;
        let (alone, apart) = (settle == Settle::Alone, settle == Settle::Apart);
        let prepare = SigmoidKey { settles: weighs && !apart, ..placed(SigmoidDriver::Prepare) };
        let prepare = match (multi_hot, alone) {
            (true, _) => {
                let key = SigmoidKey { class_vectors: rows.class_vectors, ..prepare };
                SigmoidKey { workgroup: targets_workgroup(kernels, key, extent.width()), ..key }
            }
            (false, false) => SigmoidKey { refreshes, ..prepare },
            (false, true) => SigmoidKey { alone, workgroup: sums_workgroup(kernels), ..prepare },
        };
        let prepared = match (multi_hot, alone, refreshes) {
            (true, _, _) => Launch::RowGroups { lanes: 4 },
            (false, true, _) => Launch::Once,
            (false, false, true) => Launch::RowAndClassThreads,
            (false, false, false) => Launch::RowThreads,
        };
        let draw = SigmoidKey {
            marks: !apart,
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
        let totals = SigmoidKey { workgroup: sums_workgroup(kernels), ..small(SigmoidDriver::Totals) };
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
            draw: optional(terms.draws && !alone, draw, Launch::Once)?,
            settle: optional(apart && (weighs || terms.draws), settled, Launch::RowThreads)?,
            totals: optional(!alone, totals, Launch::Once)?,
            column_sums: optional(terms.balance && !down_columns, column_sums, by_columns)?,
            written_sums: optional(
                terms.balance && !down_columns && fused && rows.gradient == Cell::F32,
                written_sums,
                by_columns,
            )?,
            part_sums: optional(terms.balance && down_columns && !beside, part_sums, by_columns)?,
            rows: Step::new(kernels, forward, forward_pieces)?,
            loss_sums: match (many_rows, rows.split) {
                (false, _) => None,
                (true, true) => Some(Step::new(kernels, of_pieces(SigmoidDriver::LossSums), Launch::Sums)?),
                (true, false) => Some(Step::new(kernels, shared(Driver::LossSums, false), Launch::Sums)?),
            },
            finish: match finish_once {
                true => Step::new(kernels, last, finish)?,
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

/// Threads for sums over a row's targets.
fn targets_workgroup(kernels: &Kernels, key: SigmoidKey, columns: u64) -> u32 {
    let adapter = kernels.adapter;
    let fits = |workgroup| {
        workgroup <= adapter.max_workgroup
            && SigmoidKey { workgroup, ..key }.workgroup_bytes() <= adapter.max_workgroup_bytes
    };
    let mut workgroup = match adapter.software {
        // As wide as the processor's vectors.
        true => 8,
        // Four columns a thread: the loads of few rows hide behind each other's, not behind other rows'.
        false => narrow(columns.div_ceil(4)).clamp(ROW_WORKGROUP, 256).next_power_of_two(),
    };
    while workgroup > 1 && !fits(workgroup) {
        workgroup /= 2;
    }
    // Long rows: no thread has more columns than a loop may have iterations.
    while columns.div_ceil(u64::from(workgroup)) > 4 * LONGEST_LOOP && fits(2 * workgroup) {
        workgroup *= 2;
    }
    workgroup
}
