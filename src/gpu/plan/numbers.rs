//! The numbers of a plan's windows as the kernels read them.

use super::core::Core;
use super::extent::narrow;
use super::memory::sums_of;

/// The uniform block of a window, the twin of `Window` in `shaders/window.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there")]
pub struct WindowNumbers {
    pub rows: u32,
    pub classes: u32,
    pub total_classes: u32,
    pub first_class: u32,
    pub batch_rows: u32,
    pub batch_row: u32,
    pub first_row: u32,
    pub row_shift: u32,
    pub logits_origin: u32,
    pub logits_stride: u32,
    pub gradient_origin: u32,
    pub gradient_stride: u32,
    pub dense_origin: u32,
    pub dense_stride: u32,
    pub teacher_origin: u32,
    pub teacher_stride: u32,
    pub row_step: u32,
    pub pieces: u32,
    pub piece_blocks: u32,
    pub first_slot: u32,
    pub slots: u32,
    pub shard: u32,
    pub shards: u32,
    pub own_first_class: u32,
    pub own_classes: u32,
    pub first_sum: u32,
    pub sums: u32,
    pub flags: u32,
    pub infinity: u32,
    pub nan: u32,
}

/// Bits of [`WindowNumbers::flags`], as in `shaders/window.wgsl`.
const FIRST_WINDOW: u32 = 1;
const FIRST_OF_ROWS: u32 = 2;
const FIRST_OF_CLASSES: u32 = 4;

/// A range of rows starts this many rows or less after an aligned one: 256 bytes of 4-byte numbers.
pub(crate) const ROW_ALIGNMENT: u64 = 64;

/// The numbers of every window of a plan, in order.
pub(crate) fn of_windows(core: &Core) -> Vec<WindowNumbers> {
    let (extent, cut) = (&core.extent, &core.cut);
    let shard = core.request.shard.as_ref();
    let word = |value: usize| narrow(value as u64);
    let first = narrow(extent.classes.start);
    let plan = WindowNumbers {
        total_classes: narrow(extent.total_classes),
        batch_rows: narrow(extent.rows),
        logits_stride: narrow(extent.logits.stride),
        gradient_stride: narrow(extent.gradient.stride),
        dense_stride: narrow(extent.dense.stride),
        teacher_stride: narrow(extent.teacher.map_or(0, |teacher| teacher.stride)),
        row_step: narrow(extent.row_step()),
        slots: cut.slots,
        shard: shard.map_or(0, |shard| word(shard.index)),
        shards: shard.map_or(1, |shard| word(shard.shards)),
        own_first_class: first,
        own_classes: narrow(extent.width()),
        sums: narrow(cut.ranges.rows.iter().map(|rows| sums_of(u64::from(rows.rows))).sum()),
        pieces: 1,
        infinity: f32::INFINITY.to_bits(),
        nan: f32::NAN.to_bits(),
        ..bytemuck::Zeroable::zeroed()
    };
    let mut sums = 0;
    let mut numbers = Vec::with_capacity(cut.windows.len());
    for (index, window) in cut.windows.iter().enumerate() {
        let flags = [
            (index == 0, FIRST_WINDOW),
            (window.class_range == 0, FIRST_OF_ROWS),
            (window.row_range == 0, FIRST_OF_CLASSES),
        ];
        numbers.push(WindowNumbers {
            rows: window.rows,
            classes: window.width(),
            first_class: first + window.classes.start,
            batch_row: narrow(window.first_row),
            first_row: core.request.first_row.wrapping_add(narrow(window.first_row)),
            row_shift: narrow(window.first_row % ROW_ALIGNMENT),
            logits_origin: narrow(window.logits.origin),
            gradient_origin: narrow(window.gradient.origin),
            dense_origin: narrow(window.dense.origin),
            teacher_origin: narrow(window.teacher.origin),
            pieces: window.pieces,
            piece_blocks: window.piece_blocks,
            first_slot: window.first_slot,
            first_sum: sums,
            flags: flags.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum(),
            ..plan
        });
        if window.class_range + 1 == cut.ranges.classes.len() {
            sums += narrow(sums_of(u64::from(window.rows)));
        }
    }
    numbers
}
