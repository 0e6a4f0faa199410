//! Which row kernel for which shape on which adapter: the one place where that is decided.

mod elementwise;

pub(crate) use elementwise::{choose_elementwise, choose_whole_rows};

use super::shader::{Cell, Driver, InnerTerms, KernelKey, Storage};
use crate::batch::TargetKind;
use crate::element::Element;

/// How rows are laid over threads. Chosen by shape and adapter, or forced through
/// [`PlanRequest::with_choice`](super::PlanRequest::with_choice).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowChoice {
    /// Rows per workgroup, each thread working on all of them: 1 or 4. Four share what belongs to a class. Losses that look
    /// at every element by itself can also go down the columns, in workgroups of 16, 32, 64 or 128 rows; LADE's cross-entropy
    /// and columns go together by 16.
    pub lanes: u32,
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Columns of each row that a thread holds on chip; 0 streams the rows.
    pub chip: u32,
    /// Workgroups that share a row, at least 1: more than one for few rows of many classes, whose statistics are
    /// then merged. Rows that are shared are never held on chip.
    pub split: u32,
    /// Whether f16 is read and written as such (the device feature `SHADER_F16`), or two in a 32-bit word.
    pub native_f16: bool,
    /// Whether streamed rows have a kernel for the loss and one for the gradient, where both are asked for at once, or one for
    /// both. Each reads the logits once; the softmax family alone has the choice.
    pub apart: bool,
}

impl RowChoice {
    /// Whole rows: `lanes` of them in a workgroup of `workgroup` threads, streamed.
    pub const fn stream(lanes: u32, workgroup: u32) -> Self {
        Self { lanes, workgroup, chip: 0, split: 1, native_f16: false, apart: false }
    }

    /// Whole rows, `chip` columns of each held in every thread.
    pub const fn on_chip(lanes: u32, workgroup: u32, chip: u32) -> Self {
        Self { lanes, workgroup, chip, split: 1, native_f16: false, apart: false }
    }

    /// Rows that `split` workgroups share.
    #[must_use]
    pub const fn with_split(mut self, split: u32) -> Self {
        self.split = split;
        self
    }

    /// Loss and gradient by a kernel each.
    #[must_use]
    pub const fn with_kernels_apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// With no more columns on chip than a row has: the kernel takes all blocks of four but the last for whole ones.
    pub(crate) const fn holding_no_more_than(mut self, columns: u32) -> Self {
        let needed = columns.div_ceil(self.workgroup);
        if self.chip > needed {
            self.chip = needed;
        }
        self
    }

    /// f16 as the device's own, instead of two in a word.
    #[must_use]
    pub const fn with_native_f16(mut self) -> Self {
        self.native_f16 = true;
        self
    }
}

/// What matters of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AdapterClass {
    /// A driver that runs on the processor.
    pub software: bool,
    pub max_workgroup: u32,
    pub max_workgroup_bytes: u32,
    /// Whether the device computes with f16.
    pub f16: bool,
    /// Workgroups that keep the device busy.
    pub busy: u32,
}

/// The choice for a shape: what is preferred on the adapter, narrowed until it fits the device's limits.
pub(crate) fn choose(adapter: AdapterClass, request: &RowRequest, rows: u32, classes: u32) -> RowChoice {
    let held = held_columns(request, classes);
    let preferred = match adapter.software {
        true => on_processor(request, rows, classes, held),
        false => on_gpu(adapter, request, rows, held),
    };
    let fits = |choice: RowChoice| {
        let key = request.row_key(choice, true, true);
        key.workgroup_bytes() <= adapter.max_workgroup_bytes && choice.workgroup <= adapter.max_workgroup
    };
    let mut choice = preferred;
    while !fits(choice) && choice.workgroup > 1 {
        choice.workgroup /= 2;
        choice.chip = on_chip(choice, held);
    }
    // The shortest rows leave words half filled, and there is nothing to share in a word: the device's own f16 reads them
    // faster on the software adapter. On longer rows two in a word are as fast or faster there.
    let halves = [request.logits, request.gradient].contains(&Element::F16);
    let native_f16 = adapter.software && adapter.f16 && halves && classes <= SHORTEST;
    // Behind a barrier a processor walks a row more slowly: a kernel without one is worth a dispatch on long rows.
    let apart = adapter.software && choice.chip == 0 && classes >= APART;
    RowChoice { split: split(adapter, choice, &request.terms, rows, classes), native_f16, apart, ..choice }
}

/// Columns of the shortest row whose gradient is worth a kernel of its own on a processor.
const APART: u32 = 2048;

/// Columns of the longest row that is too short for the processor's vectors in pairs.
const SHORTEST: u32 = 16;

/// Columns that a row on chip takes: one more than it has where a pair of columns may stick out of a row that starts in
/// the middle of a word.
fn held_columns(request: &RowRequest, classes: u32) -> u32 {
    let pairs = [request.logits, request.gradient].iter().any(|&element| element != Element::F32);
    classes.saturating_add(u32::from(pairs))
}

/// The reasons, with their measurements, are in `docs/performance.md`.
fn on_processor(request: &RowRequest, rows: u32, classes: u32, held: u32) -> RowChoice {
    // A workgroup as wide as the processor's vectors: no barrier ever waits. Half of that for rows that do not fill it.
    let workgroup = if classes < SHORTEST { 4 } else { 8 };
    // Memory on chip is as dear as any other there: it pays where it saves a third pass (seesaw's floor), and on
    // short rows, where the blocks of the streaming kernel do not fill.
    let longest = if request.terms.two_step() { 2560 } else { 256 };
    let chip = if classes <= longest { held.div_ceil(workgroup) } else { 0 };
    RowChoice { chip, ..RowChoice::stream(if rows >= 4 { 4 } else { 1 }, workgroup) }
}

/// From what an NVIDIA H100 took for the layouts (`docs/performance.md`).
fn on_gpu(adapter: AdapterClass, request: &RowRequest, rows: u32, held: u32) -> RowChoice {
    // What a row costs besides its columns is shared by four where columns are few and rows are left to fill the device; so is
    // a draw of gates, which costs more than all else that a class does, where rows are long.
    let gated = request.terms.gate && rows >= 1024 && held > 2048;
    let lanes = if rows >= 2048 && held <= 512 || gated { 4 } else { 1 };
    // The more columns a thread has, the less the row's end costs and the fewer threads wait for each other there: elements of
    // 16 bits, which need less memory, show it.
    let pairs = held_columns(request, 0) > 0;
    let columns = match (lanes, pairs) {
        (4, _) => 8,
        (_, true) => MOST_HELD,
        (_, false) => MOST_HELD / 2,
    };
    let least = if lanes == 4 || pairs || held <= 128 { 32 } else { 64 };
    let widest = adapter.max_workgroup.max(32).min(if lanes == 1 && pairs { 256 } else { 1024 });
    let workgroup = held.div_ceil(columns).next_power_of_two().clamp(least.min(widest), widest);
    let choice = RowChoice::stream(lanes, workgroup);
    match on_chip(choice, held) {
        // Three workgroups of 512 threads share a multiprocessor of 65,536 registers.
        0 => RowChoice { workgroup: 512.min(adapter.max_workgroup.max(32)), ..choice },
        chip => RowChoice { chip, ..choice },
    }
}

/// Columns per thread that a GPU's registers hold of one row.
const MOST_HELD: u32 = 64;

/// Columns per thread, 0 where a row is too long for the registers: by fours, as the kernels take them, so that no thread
/// works on columns that are not there.
fn on_chip(choice: RowChoice, held: u32) -> u32 {
    let chip = held.div_ceil(choice.workgroup.max(1)).next_multiple_of(4);
    // A thread of 1,024 has 64 registers in all.
    let most = match (choice.lanes, choice.workgroup) {
        (4, _) => MOST_HELD / 4,
        (_, 1024..) => MOST_HELD / 2,
        _ => MOST_HELD,
    };
    if chip <= most { chip } else { 0 }
}

/// Columns that are worth a workgroup of their own: what a piece saves is more than the passes that merge it cost.
const PIECE: u32 = 16_384;

/// How many workgroups share a row: as many as keep the device busy, where the rows alone do not.
fn split(adapter: AdapterClass, choice: RowChoice, terms: &InnerTerms, rows: u32, classes: u32) -> u32 {
    let groups = rows.div_ceil(choice.lanes.max(1)).max(1);
    let most = (classes / PIECE).max(1);
    match adapter.busy.div_ceil(groups).min(most) {
        0 | 1 => 1,
        // Seesaw reads the pieces again that have a class above its floor: the finer they are, the less that is.
        split if terms.two_step() => split.max(16).min(most),
        split => split,
    }
}

/// The choice for rows whose logits are computed in tiles of so many rows and columns: pieces of rows where the rows alone
/// do not keep the device busy.
pub(crate) fn choose_computed(
    adapter: AdapterClass,
    workgroup: u32,
    (tile_rows, tile_columns): (u64, u64),
    rows: u32,
    classes: u32,
) -> RowChoice {
    let tiles = u64::from(classes).div_ceil(tile_columns.max(1));
    let groups = u64::from(rows).div_ceil(tile_rows.max(1)).max(1);
    // Four tiles are worth what a piece costs; four rounds of workgroups leave few of them waiting for the last.
    let split = (4 * u64::from(adapter.busy)).div_ceil(groups).min(tiles / 4).max(1);
    RowChoice { split: u32::try_from(split).unwrap_or(1), ..RowChoice::stream(4, workgroup) }
}

/// Rows of a column that a thread takes at once, where it goes down the columns.
pub(crate) const DOWN_ROWS: u32 = 16;

/// How rows of a softmax loss go along with the columns of a regulariser beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SixteenRows {
    pub workgroup: u32,
    /// Workgroups, each of which leaves two numbers for each class.
    pub parts: u32,
}

/// The choice for rows that go along with columns, of which a window has at most `most_rows`; `workgroup` is a caller's.
/// None where sixteen rows each do not keep the device busy, or too many of them are too long for one kernel's loops: rows
/// and columns have a pass each, then.
pub(crate) fn choose_sixteen(
    adapter: AdapterClass,
    request: &RowRequest,
    workgroup: Option<u32>,
    (rows, most_rows): (u32, u32),
    classes: u32,
) -> Option<SixteenRows> {
    let sixteens = most_rows.div_ceil(DOWN_ROWS).max(1);
    let padded = rows.next_multiple_of(DOWN_ROWS);
    let fills = 4 * u64::from(padded) <= 5 * u64::from(rows) && 2 * sixteens >= adapter.busy;
    if workgroup.is_none() && !fills {
        return None;
    }
    let fits = |workgroup: u32| {
        let key = request.key(Driver::RowsAndColumns, RowChoice::stream(4, workgroup));
        workgroup <= adapter.max_workgroup && key.workgroup_bytes() <= adapter.max_workgroup_bytes
    };
    let widest = if adapter.software { 8 } else { 256 };
    let mut wide = workgroup.unwrap_or_else(|| widest.min(classes.next_power_of_two()).max(1));
    while workgroup.is_none() && wide > 1 && !fits(wide) {
        wide /= 2;
    }
    // Columns of a thread in all the rows of its workgroup are turns of one loop within another.
    let turns = u64::from(sixteens) * u64::from(classes.div_ceil(wide.max(1)));
    let least = u32::try_from(turns.div_ceil(MOST_TURNS)).unwrap_or(u32::MAX);
    let parts = adapter.busy.max(least).min(sixteens);
    (least <= sixteens && parts <= 4 * adapter.busy).then_some(SixteenRows { workgroup: wide, parts })
}

/// Turns of the loops of one thread: llvmpipe ends a kernel's loops after 65,535 turns of all of them.
const MOST_TURNS: u64 = 32_768;

/// What a plan asks of its row kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowRequest {
    pub terms: InnerTerms,
    pub targets: TargetKind,
    pub storage: Storage,
    pub logits: Element,
    pub gradient: Element,
    /// Whether pairs of logits lie across words where the gradient's do not.
    pub straddle: bool,
    pub argmax: bool,
}

impl RowRequest {
    /// A key for this request: the given driver, rows laid as chosen.
    pub(super) fn key(&self, driver: Driver, choice: RowChoice) -> KernelKey {
        KernelKey {
            terms: self.terms,
            storage: self.storage,
            logits: Cell::new(self.logits, choice.native_f16),
            gradient: Cell::new(self.gradient, choice.native_f16),
            lanes: choice.lanes,
            chip: choice.chip,
            argmax: self.argmax,
            ..KernelKey::new(driver, self.targets, choice.workgroup)
        }
    }

    /// The row kernel itself; with `gradient` the fused one, else the forward pass that saves coefficients.
    pub(super) fn row_key(&self, choice: RowChoice, gradient: bool, coefficients: bool) -> KernelKey {
        let driver = if choice.chip > 0 { Driver::RowChip } else { Driver::RowStream };
        self.aligned(KernelKey { writes: gradient, coefficients, ..self.key(driver, choice) })
    }

    /// The key as it reads pairs of logits: across words where the gradient's pairs ask for that.
    pub(super) fn aligned(&self, key: KernelKey) -> KernelKey {
        KernelKey {
            straddle: self.straddle && key.logits.packed() && key.matrices().pairs_follow_gradient(),
            ..key
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(terms: InnerTerms, argmax: bool) -> RowRequest {
        RowRequest {
            terms,
            targets: TargetKind::Hard,
            storage: Storage::Separate,
            logits: Element::F32,
            gradient: Element::F32,
            straddle: false,
            argmax,
        }
    }

    pub(super) fn large_gpu() -> AdapterClass {
        AdapterClass {
            software: false,
            max_workgroup: 1024,
            max_workgroup_bytes: 49_152,
            f16: true,
            busy: 256,
        }
    }

    /// Few rows of many classes are shared, many rows are not.
    #[test]
    fn few_rows_of_many_classes_are_split() {
        let request = request(InnerTerms::default(), false);
        for (rows, classes, shared) in
            [(1, 1_000_000, 61), (8, 262_144, 16), (4096, 262_144, 1), (1, 8142, 1)]
        {
            assert_eq!(choose(large_gpu(), &request, rows, classes).split, shared, "{rows} x {classes}");
        }
    }

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
            dense: true,
            class_weights: true,
        };
        for (software, max_workgroup, max_workgroup_bytes) in [
            (false, 256, 16_384),
            (false, 1024, 49_152),
            (false, 128, 16_352),
            (true, 1024, 32_768),
            (true, 4, 4096),
        ] {
            let busy = if software { 2 } else { 256 };
            let adapter = AdapterClass { software, max_workgroup, max_workgroup_bytes, f16: false, busy };
            for terms in [InnerTerms::default(), all] {
                let request = request(terms, true);
                for rows in [1, 4, 5000] {
                    for classes in [1, 2, 31, 100, 128, 1024, 1203, 2048, 2049, 4097, 32_768, 1_000_000] {
                        let choice = choose(adapter, &request, rows, classes);
                        let key = request.row_key(choice, true, true);
                        assert!(key.workgroup_bytes() <= max_workgroup_bytes, "{adapter:?} {choice:?}");
                        assert!(choice.workgroup <= max_workgroup, "{adapter:?} {choice:?}");
                        assert!(choice.workgroup.is_power_of_two(), "{choice:?}");
                        // Also with a column more, where pairs start in the middle of a word.
                        let chip = choice.chip.next_multiple_of(4);
                        assert!(chip == 0 || chip * choice.workgroup >= classes, "{choice:?}");
                        for element in [Element::F16, Element::Bf16] {
                            let pairs = RowRequest { gradient: element, ..request };
                            let choice = choose(adapter, &pairs, rows, classes);
                            let checked = crate::gpu::plan::check_choice(choice, classes, 2);
                            assert!(checked.is_ok(), "{adapter:?} {classes} {checked:?}");
                        }
                        assert!((1..=classes).contains(&choice.split), "{choice:?}");
                    }
                }
            }
        }
    }

    /// On a processor long rows have a kernel for the loss and one for the gradient; on a GPU one for both.
    #[test]
    fn kernels_are_apart_on_a_processor() {
        let processor = AdapterClass { software: true, busy: 8, ..large_gpu() };
        let request = request(InnerTerms::default(), false);
        for classes in [2, 1203, 2047, 2048, 128_256] {
            assert_eq!(choose(processor, &request, 256, classes).apart, classes >= 2048, "{classes}");
            assert!(!choose(large_gpu(), &request, 256, classes).apart, "{classes}");
        }
        let seesaw = InnerTerms { compensation: true, floor: true, ..InnerTerms::default() };
        let held = choose(processor, &RowRequest { terms: seesaw, ..request }, 256, 2048);
        assert!(held.chip > 0 && !held.apart, "{held:?}");
    }

    /// Four rows share a draw of gates where there are rows enough.
    #[test]
    fn gates_share_their_draws_on_a_large_gpu() {
        let gated = request(InnerTerms { gate: true, ..InnerTerms::default() }, false);
        for (rows, classes, lanes) in [(256, 8142, 1), (4096, 1203, 1), (4096, 8142, 4), (4096, 128_256, 4)] {
            assert_eq!(choose(large_gpu(), &gated, rows, classes).lanes, lanes, "{rows} x {classes}");
        }
    }

    /// Where a row fits on chip it stays there: one read of each logit.
    #[test]
    fn rows_stay_on_chip_on_a_large_gpu() {
        let adapter = large_gpu();
        let request = request(InnerTerms::default(), false);
        for classes in [2, 100, 1203, 8142, 32_768] {
            assert!(choose(adapter, &request, 4096, classes).chip > 0, "{classes}");
        }
        assert_eq!(choose(adapter, &request, 4096, 128_256).chip, 0);
    }
}
