//! A kernel of a plan: compiled, and launched over the plan's windows.

use super::core::Core;
use super::extent::{Window, narrow};
use super::memory::sums_of;
use crate::gpu::choice::AdapterClass;
use crate::gpu::kernels::{Kernels, Pipeline};
use crate::gpu::program::Program;
use crate::gpu::shader::Binding;
use crate::{Error, Result};
use std::sync::Arc;

/// Threads per workgroup of the kernels that are not over logits.
pub(crate) const SMALL_WORKGROUP: u32 = 128;
/// Threads per workgroup of the kernels that have a workgroup for each row, and of those with a thread for each class.
pub(crate) const ROW_WORKGROUP: u32 = 64;

/// The same of kernels that sum over rows on a GPU: the longer a thread's walk over rows, the more loads' ways to memory and
/// back follow each other, while nothing else runs.
const SUMS_WORKGROUP: u32 = 512;

/// Threads per workgroup of the kernels that sum over rows.
pub(crate) fn sums_workgroup(kernels: &Kernels) -> u32 {
    let AdapterClass { software, max_workgroup, max_workgroup_bytes, .. } = kernels.adapter;
    // A loss and two counts with their first rows for each thread (`shaders/loss_sum.wgsl`).
    let most = max_workgroup.min(max_workgroup_bytes / 20).max(1);
    let widest = if most.is_power_of_two() { most } else { most.next_power_of_two() / 2 };
    if software { SMALL_WORKGROUP } else { SUMS_WORKGROUP.min(widest) }
}

/// How a kernel's workgroups lie over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launch {
    /// One workgroup.
    Once,
    /// A thread for each row.
    RowThreads,
    /// A thread for each class.
    ClassThreads,
    /// A thread for each row, and one for each class: the same ones.
    RowAndClassThreads,
    /// A workgroup for each `each` classes.
    Classes { each: u32 },
    /// One workgroup, and one for each `each` classes.
    OnceAndClasses { each: u32 },
    /// A workgroup for each row.
    Rows,
    /// A workgroup for each group of `lanes` rows.
    RowGroups { lanes: u32 },
    /// The window's pieces for each group of `lanes` rows.
    Pieces { lanes: u32 },
    /// A workgroup for each sum of many rows.
    Sums,
    /// So many workgroups.
    Groups(u32),
    /// A workgroup for each run of `columns` classes.
    Columns { columns: u32 },
}

/// A kernel, compiled.
#[derive(Debug)]
pub(crate) struct Step {
    pub program: Program,
    pub launch: Launch,
    pub pipeline: Arc<Pipeline>,
    /// What it binds; kept, since recording should cost little.
    pub bindings: Vec<Binding>,
    /// Whether what it writes in the gradient's place has a number for each class: the class scales' gradient.
    pub of_classes: bool,
}

impl Step {
    /// Compiles.
    ///
    /// # Errors
    /// Those of [`Kernels::pipeline`].
    pub(crate) fn new(kernels: &Kernels, key: impl Into<Program>, launch: Launch) -> Result<Self> {
        let program = key.into();
        let pipeline = kernels.pipeline(program)?;
        Ok(Self { program, launch, pipeline, bindings: program.bindings(), of_classes: false })
    }

    /// Workgroups in a window.
    fn groups(&self, core: &Core, window: &Window) -> u64 {
        let rows = u64::from(window.rows);
        let threads = |items: u64| items.div_ceil(u64::from(self.program.workgroup())).max(1);
        // With two elements in a word, the rows of a workgroup are every other one of eight.
        let row_groups = |lanes: u32| match (u64::from(lanes), core.extent.row_step()) {
            (1, _) => rows,
            (lanes, step) => step * rows.div_ceil(lanes * step),
        };
        match self.launch {
            Launch::Once => 1,
            Launch::RowThreads => threads(rows),
            Launch::ClassThreads => threads(u64::from(window.width())),
            Launch::RowAndClassThreads => threads(rows.max(u64::from(window.width()))),
            Launch::Classes { each } => u64::from(window.width()).div_ceil(u64::from(each)).max(1),
            Launch::OnceAndClasses { each } => 1 + u64::from(window.width()).div_ceil(u64::from(each)),
            Launch::Rows => rows,
            Launch::RowGroups { lanes } => row_groups(lanes),
            Launch::Pieces { lanes } => row_groups(lanes) * u64::from(window.pieces),
            Launch::Sums => sums_of(rows),
            Launch::Groups(groups) => u64::from(groups),
            Launch::Columns { columns } => u64::from(window.width().div_ceil(columns.max(1)).max(1)),
        }
    }

    /// Workgroups in two dimensions, since one holds only so many; [`check`](Self::check) has seen that they fit.
    pub(crate) fn grid(&self, core: &Core, window: &Window) -> (u32, u32) {
        let groups = self.groups(core, window);
        let y = groups.div_ceil(core.most_groups()).max(1);
        (narrow(groups.div_ceil(y)), narrow(y))
    }

    /// Whether every window's grid fits the device.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub(crate) fn check(&self, core: &Core) -> Result<()> {
        let most = core.most_groups();
        let needed = core.cut.windows.iter().map(|window| self.groups(core, window)).max().unwrap_or(0);
        match needed > most * most {
            false => Ok(()),
            true => Err(Error::Limit {
                what: "workgroups in one dispatch".into(),
                needed,
                allowed: most * most,
                cure: "request the device with a higher max_compute_workgroups_per_dimension",
            }),
        }
    }
}
