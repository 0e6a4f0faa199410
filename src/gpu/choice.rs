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

/// The choice for a shape: what is preferred on the adapter, narrowed until it fits the device's limits.
pub(crate) fn choose(adapter: AdapterClass, request: &RowRequest, rows: u32, classes: u32) -> RowChoice {
    let preferred = if adapter.software {
        on_processor(&request.terms, rows, classes)
    } else {
        on_gpu(adapter, rows, classes)
    };
    let fits = |choice: RowChoice| {
        let key = request.row_key(choice, true, true);
        key.workgroup_bytes() <= adapter.max_workgroup_bytes && choice.workgroup <= adapter.max_workgroup
    };
    let mut choice = preferred;
    while !fits(choice) && choice.workgroup > 1 {
        choice.workgroup /= 2;
        choice.chip = on_chip(choice, classes);
    }
    choice
}

/// The reasons, with their measurements, are in `docs/performance.md`.
fn on_processor(terms: &InnerTerms, rows: u32, classes: u32) -> RowChoice {
    // A workgroup as wide as the processor's vectors: no barrier ever waits.
    let workgroup = 8;
    // Memory on chip is as dear as any other there: it pays where it saves a third pass (seesaw's floor), and on
    // short rows, where the blocks of the streaming kernel do not fill.
    let longest = if terms.compensation && terms.floor { 2048 } else { 256 };
    let chip = if classes <= longest { classes.div_ceil(workgroup) } else { 0 };
    RowChoice { lanes: if rows >= 4 { 4 } else { 1 }, workgroup, chip }
}

/// From register counts; not measured yet.
fn on_gpu(adapter: AdapterClass, rows: u32, classes: u32) -> RowChoice {
    // Four rows share class columns, where enough rows are left to fill the device and they stay on chip.
    let lanes = if rows >= 2048 && classes <= 4096 { 4 } else { 1 };
    // A thread should hold about 8 columns of four rows, or 16 of one.
    let columns = if lanes == 4 { 8 } else { 16 };
    let widest = if lanes == 4 { 256 } else { 1024 };
    let workgroup =
        classes.div_ceil(columns).next_power_of_two().clamp(32, widest.min(adapter.max_workgroup.max(32)));
    let choice = RowChoice { lanes, workgroup, chip: 0 };
    RowChoice { chip: on_chip(choice, classes), ..choice }
}

/// Columns per thread that registers hold, 0 where a row is too long for that: powers of two, so that few kernels
/// serve all shapes.
fn on_chip(choice: RowChoice, classes: u32) -> u32 {
    let chip = classes.div_ceil(choice.workgroup.max(1)).next_power_of_two();
    let most = if choice.lanes == 4 { 16 } else { 32 };
    if chip <= most { chip } else { 0 }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is chosen runs on a device with WebGPU's default limits, and on smaller ones.
    #[test]
    fn every_choice_fits() {
        let all = InnerTerms {
            class_scale: true,
            bias: true,
            mitigation: true,
            compensation: true,
            floor: true,
            gate: false,
            gate_given: false,
            smoothing: true,
        };
        for (software, max_workgroup, max_workgroup_bytes) in [
            (false, 256, 16_384),
            (false, 1024, 49_152),
            (false, 128, 16_352),
            (true, 1024, 32_768),
            (true, 4, 4096),
        ] {
            let adapter = AdapterClass { software, max_workgroup, max_workgroup_bytes };
            for terms in [InnerTerms::default(), all] {
                let request =
                    RowRequest { terms, targets: TargetKind::Hard, storage: Storage::Separate, argmax: true };
                for rows in [1, 4, 5000] {
                    for classes in [1, 2, 31, 100, 1203, 2049, 4097, 32_768, 1_000_000] {
                        let choice = choose(adapter, &request, rows, classes);
                        let key = request.row_key(choice, true, true);
                        assert!(key.workgroup_bytes() <= max_workgroup_bytes, "{adapter:?} {choice:?}");
                        assert!(choice.workgroup <= max_workgroup, "{adapter:?} {choice:?}");
                        assert!(choice.workgroup.is_power_of_two(), "{choice:?}");
                        assert!(choice.chip == 0 || choice.chip * choice.workgroup >= classes, "{choice:?}");
                    }
                }
            }
        }
    }

    /// Where a row fits on chip it stays there: one read of each logit.
    #[test]
    fn rows_stay_on_chip_on_a_large_gpu() {
        let adapter = AdapterClass { software: false, max_workgroup: 1024, max_workgroup_bytes: 49_152 };
        let request = RowRequest {
            terms: InnerTerms::default(),
            targets: TargetKind::Hard,
            storage: Storage::Separate,
            argmax: false,
        };
        for classes in [2, 100, 1203, 8142, 32_768] {
            assert!(choose(adapter, &request, 4096, classes).chip > 0, "{classes}");
        }
        assert_eq!(choose(adapter, &request, 4096, 128_256).chip, 0);
    }
}
