// The numbers of a product or a row kernel. The host's struct is checked against this one by a test.
//
// C is [m, n] and the sum runs over k. An element of a matrix is at origin + row * stride + column, in elements of
// its binding. Row kernels work on [m, k].

struct Params {
  m: u32,
  n: u32,
  k: u32,
  a_stride: u32,
  b_stride: u32,
  c_stride: u32,
  a_origin: u32,
  b_origin: u32,
  c_origin: u32,
  a_scale_origin: u32,
  b_scale_origin: u32,
  a_part: u32,  // columns that share a scale
  b_part: u32,
  a_parts: u32,  // scales in a row
  b_parts: u32,
  row_offset_origin: u32,
  column_offset_origin: u32,
  row_sum_origin: u32,
  tiles_m: u32,
  tiles: u32,
  accumulate: u32,
  alpha: f32,
  power: f32,
  eps: f32,
  offset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
