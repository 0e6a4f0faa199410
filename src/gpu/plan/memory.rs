//! The buffers of a plan: O(N + K) bytes.

use super::arena::{Arena, storage};
use super::extent::Cut;
use super::numbers::WindowNumbers;
use crate::Result;
use crate::gpu::kernels::Kernels;
use std::ops::Range;

/// Words in the block of scalars, and their places (the twins of `shaders/fields.wgsl`).
const SCALARS: usize = 32;
pub(crate) const SCALAR_LOSS: u64 = 1;
pub(crate) const SCALAR_STEP: u64 = 4;
pub(crate) const SCALAR_STATUS: usize = 6;
/// From one window's numbers to the next: the strictest alignment of uniform bindings.
pub(crate) const WINDOW_STEP: u64 = 256;
/// Rows of one sum, words of one (`shaders/fields.wgsl`). As many rows as a GPU's workgroup has in flight at a time.
const SUM_ITEMS: u64 = 2048;
const SUM_WORDS: u64 = 5;

const WINDOWS: &str = "longtail windows";
const SPEC: &str = "longtail spec";
const SCALARS_LABEL: &str = "longtail scalars";
const ONE: &str = "longtail one";
const SHARED_ONE: &str = "longtail shared one";
const SUMS: &str = "longtail sums";
const ROW_FIELDS: &str = "longtail row fields";
const SAVED: &str = "longtail saved";
const CLASS_TABLE: &str = "longtail class table";

/// Rows that one workgroup sums by itself: up to here a thread's walk takes no longer than another dispatch.
const ROWS_AT_ONCE: u64 = 8192;

/// Whether rows leave sums of some of them each, of which the batch's are made.
pub(crate) fn many_rows(cut: &Cut, rows: u64) -> bool {
    cut.ranges.rows.len() > 1 || rows > ROWS_AT_ONCE
}

/// How many sums rows of this number leave.
pub(crate) fn sums_of(rows: u64) -> u64 {
    rows.div_ceil(SUM_ITEMS)
}

/// The buffers of a plan.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The numbers of each window.
    pub windows: wgpu::Buffer,
    /// The numbers of the loss.
    pub spec: wgpu::Buffer,
    pub scalars: wgpu::Buffer,
    /// A region for each range of rows: what the prepare kernel lays down.
    pub rows: Arena,
    /// A region for each range of rows: what the row kernels leave.
    pub saved: Arena,
    /// A region for each range of classes.
    pub classes: Arena,
    /// Sums of many rows.
    pub sums: Option<wgpu::Buffer>,
    /// The upstream gradient of passes that have none: 1, once to be bound for reading, once for writing.
    pub one: wgpu::Buffer,
    pub shared_one: wgpu::Buffer,
}

/// What a family keeps in a plan's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// Fields that a row is prepared with.
    pub row_fields: u64,
    /// Fields that a row leaves.
    pub saved_fields: u64,
    /// Numbers for each class.
    pub class_columns: u64,
    /// Bytes of the spec's uniform block.
    pub spec: u64,
    pub many_rows: bool,
}

impl Memory {
    /// Allocates.
    ///
    /// # Errors
    /// Those of [`Arena::new`].
    pub(crate) fn new(kernels: &Kernels, cut: &Cut, kept: Kept) -> Result<Self> {
        let per_row = |fields: u64| -> Vec<u64> {
            cut.ranges.rows.iter().map(|rows| 4 * fields * u64::from(rows.rows)).collect()
        };
        let windows = WINDOW_STEP * (cut.windows.len() as u64).max(1);
        let sums: u64 = cut.ranges.rows.iter().map(|rows| sums_of(u64::from(rows.rows))).sum();
        let memory = Self {
            rows: Arena::new(kernels, ROW_FIELDS, &per_row(kept.row_fields))?,
            saved: Arena::new(kernels, SAVED, &per_row(kept.saved_fields))?,
            classes: class_arena(kernels, cut, kept.class_columns)?,
            windows: uniform(kernels, WINDOWS, windows)?,
            spec: uniform(kernels, SPEC, kept.spec.max(16))?,
            scalars: kernels
                .scoped("a plan's scalars", || Ok(storage(kernels, SCALARS_LABEL, 4 * SCALARS as u64)))?,
            sums: match kept.many_rows && sums > 0 {
                true => Some(
                    kernels.scoped("a plan's sums", || Ok(storage(kernels, SUMS, 4 * SUM_WORDS * sums)))?,
                ),
                false => None,
            },
            one: kernels.scoped("a plan's one", || Ok(storage(kernels, ONE, 4)))?,
            shared_one: kernels.scoped("a plan's one", || Ok(storage(kernels, SHARED_ONE, 4)))?,
        };
        kernels.scoped("a plan's first numbers", || {
            kernels.queue.write_buffer(&memory.scalars, 0, bytemuck::cast_slice(&[0u32; SCALARS]));
            for one in [&memory.one, &memory.shared_one] {
                kernels.queue.write_buffer(one, 0, bytemuck::cast_slice(&[1.0f32]));
            }
            Ok(())
        })?;
        Ok(memory)
    }

    /// Name and bytes of each buffer.
    pub(crate) fn buffers(&self) -> Vec<(&'static str, u64)> {
        let single = [
            (WINDOWS, &self.windows),
            (SPEC, &self.spec),
            (SCALARS_LABEL, &self.scalars),
            (ONE, &self.one),
            (SHARED_ONE, &self.shared_one),
        ];
        let single = single.into_iter().chain(self.sums.as_ref().map(|sums| (SUMS, sums)));
        let arenas = [(ROW_FIELDS, &self.rows), (SAVED, &self.saved), (CLASS_TABLE, &self.classes)];
        let arenas =
            arenas.into_iter().flat_map(|(label, arena)| arena.sizes().map(move |size| (label, size)));
        single.map(|(label, buffer)| (label, buffer.size())).chain(arenas).collect()
    }

    /// Writes the numbers of every window, one after another.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    pub(crate) fn write_windows(&self, kernels: &Kernels, windows: &[WindowNumbers]) -> Result<()> {
        let step = usize::try_from(WINDOW_STEP).unwrap_or(256);
        let mut bytes = vec![0u8; step * windows.len()];
        for (slot, numbers) in bytes.chunks_exact_mut(step).zip(windows) {
            for (to, from) in slot.iter_mut().zip(bytemuck::bytes_of(numbers)) {
                *to = *from;
            }
        }
        kernels.scoped("a plan's numbers", || {
            kernels.queue.write_buffer(&self.windows, 0, &bytes);
            Ok(())
        })
    }

    /// Writes the spec's uniform block.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    pub(crate) fn write_spec(&self, kernels: &Kernels, numbers: &[u8]) -> Result<()> {
        kernels.scoped("a plan's numbers", || {
            kernels.queue.write_buffer(&self.spec, 0, numbers);
            Ok(())
        })
    }

    /// Writes the class table: `table` gives the columns of each range, one after another.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    pub(crate) fn write_classes(
        &self,
        kernels: &Kernels,
        ranges: &[Range<usize>],
        table: impl Fn(Range<usize>) -> Vec<f32>,
    ) -> Result<()> {
        kernels.scoped("a plan's class table", || {
            for (region, range) in ranges.iter().enumerate() {
                if let Some((buffer, offset)) = self.classes.place(region) {
                    kernels.queue.write_buffer(buffer, offset, bytemuck::cast_slice(&table(range.clone())));
                }
            }
            Ok(())
        })
    }
}

/// A buffer for numbers that are the same for all threads.
///
/// # Errors
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Device`](crate::Error::Device).
pub(crate) fn uniform(kernels: &Kernels, label: &'static str, size: u64) -> Result<wgpu::Buffer> {
    kernels.scoped("a plan's numbers", || {
        Ok(kernels.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        }))
    })
}

/// A region of the class table for each range of classes.
///
/// # Errors
/// Those of [`Arena::new`].
pub(crate) fn class_arena(kernels: &Kernels, cut: &Cut, columns: u64) -> Result<Arena> {
    let width = |classes: &Range<u32>| u64::from(classes.end - classes.start);
    let sizes: Vec<u64> = cut.ranges.classes.iter().map(|range| 4 * columns * width(range)).collect();
    Arena::new(kernels, CLASS_TABLE, &sizes)
}
