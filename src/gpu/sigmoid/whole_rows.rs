//! Whole rows of the softmax link: threads, and what they hold.

use crate::gpu::choice::RowChoice;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Extent, LONGEST_LOOP, narrow};
use crate::{Error, Result};

/// Threads for whole rows of the softmax link, wide enough that none has too many columns: it takes four at a time, in two
/// or three loops.
pub(super) fn of_whole_rows(kernels: &Kernels, choice: RowChoice, extent: &Extent) -> Result<u32> {
    let columns = |workgroup: u32| (extent.width() + 1).div_ceil(u64::from(workgroup.max(1)));
    let mut workgroup = choice.workgroup;
    while columns(workgroup) > 2 * LONGEST_LOOP && workgroup < kernels.adapter.max_workgroup {
        workgroup *= 2;
    }
    let fits = columns(workgroup) <= 2 * LONGEST_LOOP && workgroup <= kernels.adapter.max_workgroup;
    match fits {
        true => Ok(workgroup),
        false => Err(Error::Limit {
            what: "columns of a row under the softmax link".into(),
            needed: extent.width(),
            allowed: 2 * LONGEST_LOOP * u64::from(kernels.adapter.max_workgroup),
            cure: "use the sigmoid link, or a loss of the softmax family",
        }),
    }
}

/// Columns of each row that a thread of the softmax link holds on chip, 0 where a row is too long for that: as many as
/// the softmax family's kernels do.
pub(super) fn held(kernels: &Kernels, choice: RowChoice, extent: &Extent) -> u32 {
    // A pair of columns may stick out of a row that starts in the middle of a word.
    let columns = 4 * (extent.width() + 1).div_ceil(4 * u64::from(choice.workgroup.max(1)));
    let most = match (kernels.adapter.software, choice.lanes) {
        (true, _) => 320,
        (false, 4) => 16,
        (false, _) => 32,
    };
    if columns <= most { narrow(columns) } else { 0 }
}
