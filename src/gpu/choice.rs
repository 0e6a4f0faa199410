//! Which row kernel for which shape on which adapter: the one place where that is decided.

use super::shader::{Driver, InnerTerms, KernelKey, Storage};
use crate::batch::TargetKind;

/// How rows are laid over threads. Chosen by shape and adapter, or forced through
/// [`PlanRequest::with_choice`](super::PlanRequest::with_choice).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowChoice {
    /// Rows per workgroup, each thread working on all of them: 1 or 4. Four share what belongs to a class.
    pub lanes: u32,
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Columns of each row that a thread holds on chip; 0 streams the rows.
    pub chip: u32,
}

/// What matters of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AdapterClass {
    /// A driver that runs on the processor.
    pub software: bool,
    pub max_workgroup: u32,
    pub max_workgroup_bytes: u32,
}

/// The choice for a shape. The reasons, with their measurements, are in `docs/performance.md`.
pub(crate) fn choose(adapter: AdapterClass, terms: &InnerTerms, rows: u32, classes: u32) -> RowChoice {
    let lanes = if rows >= 4 { 4 } else { 1 };
    if adapter.software {
        // A workgroup as wide as the processor's vectors: no barrier ever waits.
        let workgroup = 8;
        // Memory on chip is as dear as any other there: it pays where it saves a third pass (seesaw's floor), and
        // on short rows, where the blocks of the streaming kernel do not fill.
        let longest = if terms.compensation && terms.floor { 2048 } else { 256 };
        let chip = if classes <= longest { classes.div_ceil(workgroup) } else { 0 };
        return RowChoice { lanes, workgroup, chip };
    }
    // A thread should hold 8 to 16 columns of its rows.
    let per_thread = if lanes == 4 { 8 } else { 16 };
    let workgroup = (classes / per_thread).next_power_of_two().clamp(32, 256).min(adapter.max_workgroup);
    let chip = classes.div_ceil(workgroup);
    let limit = if lanes == 4 { 16 } else { 32 };
    RowChoice { lanes, workgroup, chip: if chip <= limit { chip.next_power_of_two() } else { 0 } }
}

/// What a plan asks of its row kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowRequest {
    pub terms: InnerTerms,
    pub targets: TargetKind,
    pub storage: Storage,
    pub argmax: bool,
}

impl RowRequest {
    /// A key for this request: the given driver, rows laid as chosen.
    pub(super) fn key(&self, driver: Driver, choice: RowChoice) -> KernelKey {
        KernelKey {
            driver,
            terms: self.terms,
            targets: self.targets,
            storage: self.storage,
            lanes: choice.lanes,
            workgroup: choice.workgroup,
            chip: choice.chip,
            argmax: self.argmax,
            gradient: false,
            coefficients: false,
        }
    }

    /// The row kernel itself; with `gradient` the fused one, else the forward pass that saves coefficients.
    pub(super) fn row_key(&self, choice: RowChoice, gradient: bool, coefficients: bool) -> KernelKey {
        let driver = if choice.chip > 0 { Driver::RowChip } else { Driver::RowStream };
        KernelKey { gradient, coefficients, ..self.key(driver, choice) }
    }
}
