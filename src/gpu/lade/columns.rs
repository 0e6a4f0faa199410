//! What the regulariser alone and the one beside a cross-entropy share: the passes over columns, and its numbers.

use super::key::{LadeDriver, LadeKey, QUADS};
use crate::Result;
use crate::gpu::kernels::Kernels;
use crate::gpu::plan::{Core, Launch, Recorder, Step, storage, sums_workgroup, uniform};
use crate::gpu::shader::Cell;
use crate::gpu::view::View;
use crate::lade::LadeLoss;
use std::ops::Range;

/// The uniform block of the regulariser, the twin of `Numbers` in `shaders/lade/numbers.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there")]
pub struct LadeNumbers {
    pub lambda: f32,
    pub weight: f32,
    pub first_column: u32,
    pub parts: u32,
}

pub(super) const NUMBERS: &str = "longtail lade";
const PARTS: &str = "longtail column parts";
/// The regulariser's columns of the class table, of which the spec gives the first two.
pub(super) const CLASS_COLUMNS: u64 = 7;

/// From logits to the regulariser, and to what its gradient is made of.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Step,
    close: Step,
    numbers: wgpu::Buffer,
    parts: Option<Parts>,
}

/// Room for what the rows' kernel leaves of the columns of a window.
#[derive(Debug)]
pub(super) struct Parts {
    /// Workgroups that leave something.
    count: u32,
    buffer: wgpu::Buffer,
}

impl Parts {
    /// Allocates.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit), [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::Device`](crate::Error::Device).
    pub(super) fn new(kernels: &Kernels, core: &Core, count: u32) -> Result<Self> {
        let bytes = (8 * u64::from(count) * core.extent.width()).max(8);
        let buffer = kernels.scoped("a plan's column parts", || Ok(storage(kernels, PARTS, bytes)))?;
        Ok(Self { count, buffer })
    }
}

impl Columns {
    /// Compiles.
    ///
    /// # Errors
    /// Those of [`Kernels::pipeline`].
    pub(super) fn new(kernels: &Kernels, logits: Cell, parts: Option<Parts>) -> Result<Self> {
        let of_parts = |driver| parts.is_some() && driver == LadeDriver::Columns;
        let key = |driver, workgroup| LadeKey {
            of_parts: of_parts(driver),
            ..LadeKey::reading(driver, logits, Cell::F32, workgroup)
        };
        // On a processor a thread takes all rows: nothing is merged. A device that has no such workgroups has none for the
        // other kernels either, and says so.
        let threads = if kernels.adapter.software { QUADS } else { 16 * QUADS };
        let launch = Launch::Columns { columns: 4 * QUADS };
        Ok(Self {
            columns: Step::new(kernels, key(LadeDriver::Columns, threads), launch)?,
            close: Step::new(kernels, key(LadeDriver::Close, sums_workgroup(kernels)), Launch::Once)?,
            numbers: uniform(kernels, NUMBERS, 16)?,
            parts,
        })
    }

    /// The kernels, in order.
    pub(super) fn steps(&self) -> [&Step; 2] {
        [&self.columns, &self.close]
    }

    /// Records the pass over the logits, which marks rows that are not finite.
    pub(super) fn gather(&self, recorder: &mut Recorder<'_>) {
        recorder.over_elements(&self.columns);
    }

    /// Records the same where the rows go along in a kernel of theirs; each window before the next takes the place of its
    /// parts.
    pub(super) fn gather_with(&self, rows: &Step, recorder: &mut Recorder<'_>) {
        recorder.over_elements_in_turn([rows, &self.columns]);
    }

    /// Records the regulariser, which is added to the reduced loss.
    pub(super) fn close(&self, recorder: &mut Recorder<'_>) {
        recorder.over_classes(&self.close);
    }

    /// Takes a spec's numbers; its columns of the class table are written by those who own the table.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    pub(super) fn write(&self, core: &Core, spec: &LadeLoss, first_column: u64) -> Result<()> {
        let numbers = LadeNumbers {
            lambda: narrow(spec.lambda),
            weight: narrow(spec.weight),
            first_column: u32::try_from(first_column).unwrap_or(u32::MAX),
            parts: self.parts.as_ref().map_or(0, |parts| parts.count),
        };
        core.kernels.scoped("a plan's numbers", || {
            core.kernels.queue.write_buffer(&self.numbers, 0, bytemuck::bytes_of(&numbers));
            Ok(())
        })
    }

    pub(super) fn resource(&self, name: &str) -> Option<wgpu::BufferBinding<'_>> {
        match name {
            "numbers" => View::whole(&self.numbers).binding(),
            "column_parts" => View::whole(&self.parts.as_ref()?.buffer).binding(),
            _ => None,
        }
    }

    pub(super) fn buffers(&self) -> Vec<(&'static str, u64)> {
        let parts = self.parts.iter().map(|parts| (PARTS, parts.buffer.size()));
        std::iter::once((NUMBERS, self.numbers.size())).chain(parts).collect()
    }
}

/// The spec's columns of a range of classes; the others are the kernels' own.
pub(super) fn table(spec: &LadeLoss, range: Range<usize>) -> Vec<f32> {
    let width = range.len();
    let mut table = Vec::new();
    for column in [&spec.log_ratio, &spec.class_weights] {
        table.extend(column.get(range.clone()).unwrap_or(&[]).iter().map(|value| narrow(*value)));
    }
    table.resize(width * usize::try_from(CLASS_COLUMNS).unwrap_or(7), 0.0);
    table
}

/// Narrows a checked number.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the kernels compute in")]
fn narrow(value: f64) -> f32 {
    value as f32
}
