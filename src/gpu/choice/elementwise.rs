//! Layouts for losses that look at every element by itself.

use super::{AdapterClass, DOWN_ROWS, RowChoice, SHORTEST};
use crate::element::Element;

/// The choice for losses that look at every element by itself: pieces of rows cost nothing more than whole ones.
pub(crate) fn choose_elementwise(
    adapter: AdapterClass,
    rows: u32,
    classes: u32,
    elements: [Element; 2],
    sums_columns: bool,
) -> RowChoice {
    let lanes = if rows >= 4 { 4 } else { 1 };
    // On the processor as wide as its vectors.
    let widest = if adapter.software { 8 } else { wide_enough(classes).min(adapter.max_workgroup) };
    let workgroup =
        if classes.div_ceil(4) < widest { classes.div_ceil(4).next_power_of_two() } else { widest };
    let block = 4 * workgroup.max(1);
    let groups = rows.div_ceil(lanes).max(1);
    // As many pieces as keep the device busy; a GPU's workgroups hide each other's barriers besides.
    let wanted = if adapter.software { adapter.busy } else { 16 * adapter.busy };
    let split = wanted.div_ceil(groups).min(classes / block).clamp(1, 64);
    let halves = elements.contains(&Element::F16);
    let native_f16 = adapter.software && adapter.f16 && halves && classes <= SHORTEST;
    let choice = RowChoice { split, native_f16, ..RowChoice::stream(lanes, workgroup.max(1)) };
    // Without sums over a column there is nothing to gain (binary cross-entropy takes as long either way), and the last
    // sixteen rows are worked on as a whole.
    let padded = rows.next_multiple_of(DOWN_ROWS);
    if sums_columns && 4 * u64::from(padded) <= 5 * u64::from(rows) {
        return down_columns(adapter, choice, rows, classes);
    }
    choice
}

/// The choice for losses that look at every element by itself, but not before they have seen the whole row; `fits` says
/// whether the kernel does.
pub(crate) fn choose_whole_rows(
    adapter: AdapterClass,
    rows: u32,
    classes: u32,
    elements: [Element; 2],
    fits: impl Fn(RowChoice) -> bool,
) -> RowChoice {
    if adapter.software {
        return RowChoice { split: 1, ..choose_elementwise(adapter, rows, classes, elements, false) };
    }
    // As in the softmax family: a row has threads of its own unless it is short and others fill the device.
    let lanes = if rows >= 2048 && classes <= 512 { 4 } else { 1 };
    let widest = 512.min(adapter.max_workgroup.max(1));
    let workgroup = classes.div_ceil(WHOLE_ROW_COLUMNS).next_power_of_two().clamp(32.min(widest), widest);
    let mut choice = RowChoice::stream(lanes, workgroup);
    while choice.workgroup > 1 && !fits(choice) {
        choice.workgroup /= 2;
    }
    choice
}

/// Columns of a thread of a GPU that works on whole rows: two blocks, whose loads are in flight together.
const WHOLE_ROW_COLUMNS: u32 = 8;

/// Threads of a GPU for a block of four columns each, of which at most an eighth lies outside of the row.
fn wide_enough(classes: u32) -> u32 {
    let columns = u64::from(classes);
    let fills =
        |workgroup: &u32| columns.next_multiple_of(4 * u64::from(*workgroup)) - columns <= columns / 8;
    [256, 128].into_iter().find(fills).unwrap_or(64)
}

/// The layout for sums over columns. Neighbouring threads have neighbouring columns; a workgroup goes on to further rows
/// as long as there are others left for the rest of the device: the further, the fewer sums it leaves.
fn down_columns(adapter: AdapterClass, choice: RowChoice, rows: u32, classes: u32) -> RowChoice {
    // A thread of a GPU has one column of sixteen rows, as few elements as in the other layouts.
    let widest = if adapter.software { 8 } else { 128.min(adapter.max_workgroup) };
    let workgroup = widest.min(classes.next_power_of_two()).max(1);
    let pieces = if adapter.software { 1 } else { classes.div_ceil(workgroup).clamp(1, 64) };
    // A GPU has room for several workgroups beside each other, which hide each other's loads.
    let wanted = u64::from(if adapter.software { adapter.busy } else { 2 * adapter.busy });
    let groups = |walk: u32| u64::from(rows.div_ceil(DOWN_ROWS * walk)) * u64::from(pieces);
    let mut walk = 8;
    while walk > 1 && groups(walk) < wanted {
        walk /= 2;
    }
    // Few rows of many classes: as many pieces as keep the processor busy, of four columns for each thread at least. A GPU
    // has more of them anyway.
    let few = wanted.div_ceil(groups(walk).max(1)).min(u64::from(classes / (4 * workgroup)));
    let split = pieces.max(u32::try_from(few).unwrap_or(1));
    RowChoice { lanes: DOWN_ROWS * walk, workgroup, split, ..choice }
}

#[cfg(test)]
mod tests {
    use super::super::tests::large_gpu;
    use super::*;

    /// Sums over columns go down them where groups of sixteen rows leave little over, in no more threads than there are.
    #[test]
    fn sums_go_down_the_columns() {
        let processor = AdapterClass { software: true, busy: 8, ..large_gpu() };
        let small = AdapterClass { max_workgroup: 32, ..large_gpu() };
        for (adapter, rows, classes, lanes, workgroup, split) in [
            (processor, 512, 1204, 64, 8, 1),
            (processor, 1024, 1231, 128, 8, 1),
            (processor, 40, 5, 16, 8, 1),
            (processor, 16, 100_000, 16, 8, 8),
            (processor, 20, 1204, 4, 8, 2),
            (large_gpu(), 512, 1204, 16, 128, 10),
            (large_gpu(), 8192, 1204, 128, 128, 10),
            (large_gpu(), 16, 100_000, 16, 128, 64),
            (small, 512, 1204, 32, 32, 38),
        ] {
            let choice = choose_elementwise(adapter, rows, classes, [Element::F32; 2], true);
            let found = (choice.lanes, choice.workgroup, choice.split);
            assert_eq!(found, (lanes, workgroup, split), "{rows} x {classes} {adapter:?}");
            let other = choose_elementwise(adapter, rows, classes, [Element::F32; 2], false);
            assert_eq!(other.lanes, 4, "{rows} x {classes}");
        }
    }

    /// Whole rows have threads of their own on a GPU, as many as fit.
    #[test]
    fn whole_rows_are_wide_on_a_gpu() {
        let processor = AdapterClass { software: true, busy: 8, ..large_gpu() };
        let small = AdapterClass { max_workgroup: 64, ..large_gpu() };
        for (adapter, rows, classes, most, lanes, workgroup) in [
            (large_gpu(), 512, 1204, 1024, 1, 256),
            (large_gpu(), 512, 1204, 128, 1, 128),
            (large_gpu(), 4096, 100, 1024, 4, 32),
            (large_gpu(), 1, 2, 1024, 1, 32),
            (large_gpu(), 8, 100_000, 1024, 1, 512),
            (small, 512, 1204, 1024, 1, 64),
            (processor, 512, 1204, 1024, 4, 8),
        ] {
            let fits = |choice: RowChoice| choice.workgroup <= most;
            let choice = choose_whole_rows(adapter, rows, classes, [Element::F32; 2], fits);
            let found = (choice.lanes, choice.workgroup, choice.split);
            assert_eq!(found, (lanes, workgroup, 1), "{rows} x {classes} {adapter:?}");
        }
    }
}
