// A window: a range of rows and a range of classes that fits the device's bindings, a small problem of its own with rows
// and classes counted from its first. Most plans have one window, the whole batch. The host's struct is checked against
// this one by a test.

struct Window {
  // Its size, and where it lies in the batch and among all classes.
  rows: u32,
  classes: u32,
  total_classes: u32,
  first_class: u32,
  batch_rows: u32,
  batch_row: u32,
  first_row: u32,
  row_shift: u32,
  // Where its matrices start in their bindings and how far apart rows are, in elements.
  logits_origin: u32,
  logits_stride: u32,
  gradient_origin: u32,
  gradient_stride: u32,
  dense_origin: u32,
  dense_stride: u32,
  teacher_origin: u32,
  teacher_stride: u32,
  row_step: u32,
  // Rows split over workgroups: pieces of this window, its first slot, the slots of a whole row, the shards.
  pieces: u32,
  piece_blocks: u32,
  first_slot: u32,
  slots: u32,
  shard: u32,
  shards: u32,
  own_first_class: u32,
  own_classes: u32,
  first_sum: u32,
  sums: u32,
  flags: u32,
  // WGSL has no constants for these bits as numbers.
  infinity: u32,
  nan: u32,
}

@group(0) @binding(0) var<uniform> window: Window;

// window.flags: which window this is.
const FLAG_FIRST_WINDOW: u32 = 1u;
const FLAG_FIRST_OF_ROWS: u32 = 2u;
const FLAG_FIRST_OF_CLASSES: u32 = 4u;
