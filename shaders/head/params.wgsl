// The numbers of a head's kernels. The host's struct is checked against this one by a test.
//
// A is [m, k], rows of features or weights; C is [m, n]. An element of a matrix is at origin + row * stride + column,
// in elements of its binding. `state` arrays are what the plan keeps: for every row of a matrix, part by part, the sum of
// squares, then from `..._factors` on the factors that normalise it.

struct Params {
  m: u32,
  n: u32,
  k: u32,
  a_stride: u32,
  a_origin: u32,
  a_part: u32,  // columns of a part
  a_parts: u32,
  c_stride: u32,
  c_origin: u32,
  tiles: u32,
  accumulate: u32,
  classes: u32,  // that the kernel goes through
  first_row: u32,  // of the batch
  first_class: u32,  // of these among all that labels may name
  row_factors: u32,
  row_slopes: u32,  // the margins' slopes, then from row_rests on what they leave
  row_rests: u32,
  class_factors: u32,
  class_scaled: u32,  // factors times class scales
  class_offsets: u32,  // what is added to the classes' logits
  row_offsets: u32,  // what is added to the rows' logits
  row_sums: u32,  // of the gradient by similarities times class scales
  logits_stride: u32,
  ignored: i32,
  has_ignored: u32,
  top: u32,
  alpha: f32,
  power: f32,
  eps: f32,
  offset: f32,
  scale: f32,
  margin: f32,
  margin_cos: f32,
  margin_sin: f32,
  margin_limit: f32,
  margin_drop: f32,
  sine_floor: f32,
  effect: f32,
  momentum: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
