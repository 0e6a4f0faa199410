//! The layout down the columns: where it fits, and what its workgroups leave of accumulated gradients.

use super::key::SigmoidKey;
use crate::Result;
use crate::gpu::choice::{DOWN_ROWS, RowChoice};
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Cut, Extent, LONGEST_LOOP, storage};
use crate::gpu::shader::Access;

/// The label of the parts.
pub(super) const PARTS: &str = "longtail gradient parts";
/// Storage buffers that every device binds to a kernel.
const STORAGE_BUFFERS: usize = 8;

/// How often a workgroup goes on to the next sixteen rows; 0 in other layouts.
pub(super) fn walk(choice: RowChoice) -> u32 {
    match choice.lanes / DOWN_ROWS {
        walk @ (1 | 2 | 4 | 8) if choice.lanes == DOWN_ROWS * walk => walk,
        _ => 0,
    }
}

/// The choice, as far as it is down the columns, in as many rows as fit on chip, and in pieces that no loop is too long
/// for; four rows at a time where the kernel would bind too much.
pub(super) fn narrowed(
    kernels: &Kernels,
    choice: RowChoice,
    width: u64,
    key: impl Fn(RowChoice) -> SigmoidKey,
) -> RowChoice {
    let mut choice = choice;
    if walk(choice) == 0 {
        return choice;
    }
    let fits = |choice| key(choice).workgroup_bytes() <= kernels.adapter.max_workgroup_bytes;
    while walk(choice) > 1 && !fits(choice) {
        choice.lanes /= 2;
    }
    while choice.workgroup > 1 && !fits(choice) {
        choice.workgroup /= 2;
    }
    let bindings = key(choice).bindings();
    let buffers = bindings.iter().filter(|binding| binding.access != Access::Uniform).count();
    if !fits(choice) || buffers > STORAGE_BUFFERS {
        return RowChoice { lanes: 4, ..choice };
    }
    // A column is an iteration, and where it has a label one more.
    let steps = (width + 1).div_ceil(u64::from(choice.workgroup.max(1)));
    let split = (steps * u64::from(walk(choice))).div_ceil(2 * LONGEST_LOOP);
    RowChoice { split: choice.split.max(u32::try_from(split).unwrap_or(u32::MAX)), ..choice }
}

/// Columns that a workgroup takes in one step; 0 in other layouts.
pub(super) fn step(key: &SigmoidKey) -> u64 {
    match key.walk {
        0 => 0,
        _ => u64::from(key.workgroup) * u64::from(key.width()),
    }
}

/// Bytes of the parts of the largest window: two f32 for each class and workgroup of rows. Where the window's matrices and
/// the accumulated gradients (16 bytes a class) can be bound, these can: a second workgroup comes with more than 16 rows.
/// O(K), since rows that are summed come in windows of at most [`LONGEST_LOOP`].
pub(super) fn bytes(extent: &Extent, cut: &Cut, walk: u32) -> u64 {
    let rows_of_step = u64::from(DOWN_ROWS * walk.max(1)) * extent.row_step();
    let walkers = |rows: u32| extent.row_step() * u64::from(rows).div_ceil(rows_of_step);
    let windows = cut.windows.iter().map(|window| 8 * u64::from(window.width()) * walkers(window.rows));
    windows.max().unwrap_or(0).max(8)
}

/// Room for the parts of one window.
///
/// # Errors
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Device`](crate::Error::Device).
pub(super) fn parts(kernels: &Kernels, extent: &Extent, cut: &Cut, walk: u32) -> Result<wgpu::Buffer> {
    kernels.scoped("a plan's gradient parts", || Ok(storage(kernels, PARTS, bytes(extent, cut, walk))))
}
