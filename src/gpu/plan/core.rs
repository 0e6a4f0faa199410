//! What the plans of every family have: a device, a shape cut into windows, and memory.

use super::extent::{Cut, Extent};
use super::memory::{Memory, SCALAR_STATUS};
use super::numbers::{ROW_ALIGNMENT, of_windows};
use crate::gpu::choice::RowChoice;
use crate::gpu::kernels::Kernels;
use crate::gpu::request::PlanRequest;
use crate::gpu::view::View;
use crate::{Error, Result};
use std::ops::Range;

/// What the plans of every family have.
#[derive(Debug)]
pub(crate) struct Core {
    pub kernels: Kernels,
    pub request: PlanRequest,
    pub choice: RowChoice,
    pub extent: Extent,
    pub cut: Cut,
    pub memory: Memory,
    /// How many labels there are, for messages.
    pub labels: usize,
}

impl Core {
    /// Puts the parts together and writes the windows' numbers.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub(crate) fn new(
        kernels: &Kernels,
        request: &PlanRequest,
        choice: RowChoice,
        extent: Extent,
        cut: Cut,
        memory: Memory,
    ) -> Result<Self> {
        let (kernels_of, request, labels) = (kernels.clone(), request.clone(), request.classes);
        let core = Self { kernels: kernels_of, request, choice, extent, cut, memory, labels };
        core.memory.write_windows(kernels, &of_windows(&core))?;
        Ok(core)
    }

    /// The alignment of a binding's offset.
    pub(crate) fn alignment(&self) -> u64 {
        u64::from(self.kernels.device.limits().min_storage_buffer_offset_alignment).max(4)
    }

    /// Workgroups in one dimension of a dispatch.
    pub(crate) fn most_groups(&self) -> u64 {
        u64::from(self.kernels.device.limits().max_compute_workgroups_per_dimension.max(1))
    }

    /// Bytes of an array with 4 bytes a row.
    pub(crate) fn per_row(&self) -> u64 {
        4 * self.extent.rows
    }

    /// The classes of each range, among all K.
    pub(crate) fn class_ranges(&self) -> Vec<Range<usize>> {
        let first = usize::try_from(self.extent.classes.start).unwrap_or(usize::MAX);
        let ranges = self.cut.ranges.classes.iter();
        ranges.map(|range| first + range.start as usize..first + range.end as usize).collect()
    }

    /// The window's rows of an array with 4 bytes a row, from the last aligned row before them on.
    pub(crate) fn rows_of<'a>(
        view: View<'a>,
        window: &super::extent::Window,
    ) -> Option<wgpu::BufferBinding<'a>> {
        let shift = window.first_row % ROW_ALIGNMENT;
        let offset = 4 * (window.first_row - shift);
        View::new(view.buffer, view.offset + offset, 4 * (u64::from(window.rows) + shift)).binding()
    }

    /// The status in a copy of the block of scalars.
    ///
    /// # Errors
    /// [`Error::Label`] or [`Error::NonFinite`] with the first such row.
    pub(crate) fn check_status(&self, scalars: &[u32]) -> Result<()> {
        let word = |offset: usize| scalars.get(SCALAR_STATUS + offset).copied().unwrap_or(0);
        let first = u64::from(self.request.first_row);
        if word(0) > 0 {
            return Err(Error::Label {
                row: first + u64::from(word(1)),
                label: None,
                classes: self.labels,
                rows: u64::from(word(0)),
            });
        }
        if word(2) > 0 {
            let row = first + u64::from(word(3));
            return Err(Error::NonFinite { what: "logits", row, rows: u64::from(word(2)) });
        }
        Ok(())
    }
}
