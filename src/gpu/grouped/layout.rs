//! How rows of a grouped loss are laid over threads.

use super::key::{GroupedDriver, GroupedKey, GroupedTerms};
use super::tables::Tables;
use crate::gpu::choice::RowChoice;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::check_choice;
use crate::gpu::request::PlanRequest;
use crate::{Error, Result};

/// The most iterations that a loop of a kernel has.
const LONGEST_LOOP: u64 = 8192;
/// The layout of a plan's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowLayout {
    pub choice: RowChoice,
    /// Nodes of a tree that workgroup memory has room for; 0 where it has not enough.
    pub nodes: u32,
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
    terms: GroupedTerms,
    tables: &Tables,
) -> Result<RowLayout> {
    let most = kernels.adapter.max_workgroup.max(1);
    // The longest walk of a thread. A pair of columns may stick out of a row that starts in the middle of a word.
    let steps = |workgroup: u32| match terms.tree {
        true => tables.tree_steps(workgroup),
        false => (columns + 1).div_ceil(u64::from(workgroup)),
    };
    let choice = match request.choice {
        Some(choice) => choice,
        None => {
            let mut workgroup = preferred(kernels, columns);
            while steps(workgroup) > LONGEST_LOOP && 2 * workgroup <= most {
                workgroup *= 2;
            }
            let bytes = |workgroup| GroupedKey::new(GroupedDriver::Rows, terms, workgroup).workgroup_bytes();
            while bytes(workgroup) > kernels.adapter.max_workgroup_bytes && workgroup > 1 {
                workgroup /= 2;
            }
            RowChoice::stream(1, workgroup)
        }
    };
    check_choice(choice, narrow(columns), 1)?;
    if choice.lanes != 1 || choice.split != 1 || choice.chip != 0 {
        return Err(Error::Parameter {
            name: "rows of a grouped loss in a workgroup",
            value: f64::from(choice.lanes),
            expected: "one whole row, streamed",
        });
    }
    let needed = steps(choice.workgroup);
    if needed > LONGEST_LOOP {
        return Err(Error::Limit {
            what: "columns of a grouped loss for each thread".into(),
            needed,
            allowed: LONGEST_LOOP,
            cure: "use wider workgroups",
        });
    }
    Ok(RowLayout { choice, nodes: nodes_on_chip(kernels, choice.workgroup, terms, tables.segments) })
}

/// In steps, so that few kernels serve all trees.
fn nodes_on_chip(kernels: &Kernels, workgroup: u32, terms: GroupedTerms, segments: u32) -> u32 {
    let nodes = segments.next_multiple_of(64);
    let key = GroupedKey { nodes, ..GroupedKey::new(GroupedDriver::Rows, terms, workgroup) };
    let fits = segments < 1 << 24 && key.workgroup_bytes() <= kernels.adapter.max_workgroup_bytes;
    if terms.tree && fits { nodes } else { 0 }
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
