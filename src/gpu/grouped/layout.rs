//! How rows of a grouped loss are laid over threads.

use crate::gpu::choice::RowChoice;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::check_choice;
use crate::gpu::request::PlanRequest;
use crate::gpu::shader::Storage;
use crate::{Error, Result};

/// The most iterations that a loop of a kernel has.
const LONGEST_LOOP: u64 = 8192;
/// The most columns that a thread holds.
const MOST_HELD: u64 = 64;

/// The layout of a plan's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowLayout {
    pub choice: RowChoice,
    /// Columns of the gradient that a thread holds until all are computed; 0 writes each at once.
    pub held: u32,
}

/// Chooses, or takes what the request asks for.
///
/// # Errors
/// [`Error::Parameter`] for a choice with more than one row or less than a whole one in a workgroup; [`Error::Limit`]
/// for rows that are too long.
pub(super) fn row_layout(
    kernels: &Kernels,
    request: &PlanRequest,
    columns: u64,
    tree: bool,
) -> Result<RowLayout> {
    let most = u64::from(kernels.adapter.max_workgroup.max(1));
    // A column of a tree depends on others: in place all are computed before one is written. A pair of columns may stick
    // out of a row that starts in the middle of a word.
    let holds = tree && request.storage == Storage::InPlace;
    let longest = if holds { MOST_HELD } else { LONGEST_LOOP };
    let needed = (columns + 1).div_ceil(longest).next_power_of_two();
    let choice = match request.choice {
        Some(choice) => choice,
        None => RowChoice::stream(1, preferred(kernels, columns).max(narrow(needed).min(narrow(most)))),
    };
    check_choice(choice, narrow(columns), 1)?;
    if choice.lanes != 1 || choice.split != 1 || choice.chip != 0 {
        return Err(Error::Parameter {
            name: "rows of a grouped loss in a workgroup",
            value: f64::from(choice.lanes),
            expected: "one whole row, streamed",
        });
    }
    if u64::from(choice.workgroup) < needed {
        return Err(Error::Limit {
            what: if holds { "columns of a tree in place" } else { "columns of a grouped loss" }.into(),
            needed: columns,
            allowed: longest * u64::from(choice.workgroup) - 1,
            cure: if holds { "give the gradient a buffer of its own" } else { "use wider workgroups" },
        });
    }
    let held = match holds {
        true => narrow((columns + 1).div_ceil(u64::from(choice.workgroup)).next_multiple_of(4)),
        false => 0,
    };
    Ok(RowLayout { choice, held })
}

/// As wide as the processor's vectors there; on a GPU some columns for each thread.
fn preferred(kernels: &Kernels, columns: u64) -> u32 {
    match kernels.adapter.software {
        true => narrow(if columns <= 16 { 4 } else { 8 }).min(kernels.adapter.max_workgroup),
        false => {
            let most = kernels.adapter.max_workgroup.clamp(1, 256);
            narrow(columns.div_ceil(16).next_power_of_two()).clamp(most.min(32), most)
        }
    }
}

fn narrow(value: u64) -> u32 {
    crate::gpu::plan::narrow(value)
}
