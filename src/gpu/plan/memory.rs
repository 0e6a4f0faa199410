//! The buffers of a plan: O(N + K) bytes.

use super::extent::{Cut, Extent, FIELDS_PER_LABEL};
use crate::batch::TargetKind;
use crate::gpu::counts::DeviceCounts;
use crate::gpu::kernels::Kernels;
use crate::gpu::memory::{Arena, storage};
use crate::gpu::params::{ClassColumns, Params};
use crate::gpu::shader::{KernelKey, Layout, SAVED_COEFFICIENTS, SAVED_LABELS};
use crate::softmax::SoftmaxLoss;
use crate::{Error, Result};
use std::ops::Range;

/// Words in the block of scalars, and their places (the twins of `shaders/params.wgsl`).
const SCALARS: usize = 16;
pub(crate) const SCALAR_LOSS: u64 = 1;
pub(crate) const SCALAR_STEP: u64 = 4;
pub(crate) const SCALAR_STATUS: usize = 6;
/// From one window's numbers to the next: the strictest alignment of uniform bindings.
pub(crate) const PARAMS_STEP: u64 = 256;
/// Rows of one sum, words of one (`shaders/params.wgsl`).
pub(crate) const SUM_ITEMS: u64 = 8192;
const SUM_WORDS: u64 = 5;

const PARAMS: &str = "longtail params";
const SCALARS_LABEL: &str = "longtail scalars";
const ONE: &str = "longtail one";
const SHARED_ONE: &str = "longtail shared one";
const SUMS: &str = "longtail sums";
const ROW_FIELDS: &str = "longtail row fields";
const SAVED: &str = "longtail saved";
const CLASS_TABLE: &str = "longtail class table";

/// How many sums rows of this number leave.
pub(crate) fn sums_of(rows: u64) -> u64 {
    rows.div_ceil(SUM_ITEMS)
}

/// The buffers of a plan.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The numbers of each window.
    pub params: wgpu::Buffer,
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

/// What a plan keeps for its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub targets: TargetKind,
    /// Whether a backward pass needs its coefficients.
    pub coefficients: bool,
    /// Slots of one row, where rows are split.
    pub slots: Option<u32>,
    pub many_rows: bool,
}

impl Memory {
    /// Allocates.
    ///
    /// # Errors
    /// Those of [`Arena::new`].
    pub(crate) fn new(
        kernels: &Kernels,
        cut: &Cut,
        key: &KernelKey,
        columns: &ClassColumns,
        kept: Kept,
    ) -> Result<Self> {
        let layout = Layout::new(key);
        let mut fields = layout.extra;
        if kept.coefficients {
            fields += SAVED_COEFFICIENTS;
        }
        if let Some(slots) = kept.slots {
            fields += SAVED_LABELS + u64::from(slots) * layout.slot;
        }
        let labels = if kept.targets == TargetKind::Mixed { 2 } else { 1 };
        let per_row = |fields: u64| -> Vec<u64> {
            cut.ranges.rows.iter().map(|rows| 4 * fields * u64::from(rows.rows)).collect()
        };
        let params = PARAMS_STEP * (cut.windows.len() as u64).max(1);
        let sums: u64 = cut.ranges.rows.iter().map(|rows| sums_of(u64::from(rows.rows))).sum();
        let memory = Self {
            rows: Arena::new(kernels, ROW_FIELDS, &per_row(FIELDS_PER_LABEL * labels))?,
            saved: Arena::new(kernels, SAVED, &per_row(fields))?,
            classes: class_arena(kernels, cut, columns)?,
            params: kernels.scoped("a plan's numbers", || {
                Ok(kernels.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(PARAMS),
                    size: params,
                    usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                }))
            })?,
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
            (PARAMS, &self.params),
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
    pub(crate) fn write_params(&self, kernels: &Kernels, windows: &[Params]) -> Result<()> {
        let step = usize::try_from(PARAMS_STEP).unwrap_or(256);
        let mut bytes = vec![0u8; step * windows.len()];
        for (slot, params) in bytes.chunks_exact_mut(step).zip(windows) {
            for (to, from) in slot.iter_mut().zip(bytemuck::bytes_of(params)) {
                *to = *from;
            }
        }
        kernels.scoped("a plan's numbers", || {
            kernels.queue.write_buffer(&self.params, 0, &bytes);
            Ok(())
        })
    }

    /// Writes the class table, range by range.
    pub(crate) fn write_classes(
        &self,
        kernels: &Kernels,
        spec: &SoftmaxLoss,
        columns: &ClassColumns,
        ranges: &[Range<usize>],
    ) -> Result<()> {
        kernels.scoped("a plan's class table", || {
            for (region, range) in ranges.iter().enumerate() {
                if let Some((buffer, offset)) = self.classes.place(region) {
                    let table = columns.table(spec, range.clone());
                    kernels.queue.write_buffer(buffer, offset, bytemuck::cast_slice(&table));
                }
            }
            Ok(())
        })
    }
}

/// A region of the class table for each range of classes.
///
/// # Errors
/// Those of [`Arena::new`].
pub(crate) fn class_arena(kernels: &Kernels, cut: &Cut, columns: &ClassColumns) -> Result<Arena> {
    let width = |classes: &Range<u32>| u64::from(classes.end - classes.start);
    let sizes: Vec<u64> = cut.ranges.classes.iter().map(|range| 4 * columns.len() * width(range)).collect();
    Arena::new(kernels, CLASS_TABLE, &sizes)
}

/// The cumulative counts of a plan with seesaw: shared ones, or new ones from the spec.
///
/// # Errors
/// [`Error::Length`] for shared counts of another K, and those of [`DeviceCounts::new`].
pub(crate) fn counts_for(
    kernels: &Kernels,
    spec: &SoftmaxLoss,
    extent: &Extent,
    shared: Option<&DeviceCounts>,
) -> Result<Option<DeviceCounts>> {
    let Some(seesaw) = &spec.seesaw else { return Ok(None) };
    let width = extent.width();
    match shared {
        Some(shared) if shared.classes() as u64 != width => Err(Error::Length {
            what: "shared class counts",
            expected: width,
            found: shared.classes() as u64,
        }),
        Some(shared) => Ok(Some(shared.clone())),
        None => {
            let start = usize::try_from(extent.classes.start).unwrap_or(usize::MAX);
            let end = usize::try_from(extent.classes.end).unwrap_or(usize::MAX);
            let counts = seesaw.counts.get(start..end).unwrap_or(&[]);
            // A shard without classes counts nothing, and has a place for it.
            DeviceCounts::new(kernels, if counts.is_empty() { &[0] } else { counts }).map(Some)
        }
    }
}
