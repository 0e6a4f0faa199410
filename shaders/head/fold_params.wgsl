// The numbers of a window's products and of the head. The host's struct is checked against this one by a test.
//
// A is [m, k], the window's rows of features; B is [n, k], its classes' weights. An element of a matrix is at
// origin + row * stride + column, in elements of its binding. a_scales has for every part of every row of the batch the
// sum of squares, then from row_factors on the factor that normalises it; b_scales is laid out in class_numbers.wgsl.

struct Params {
  m: u32,
  n: u32,
  k: u32,
  a_stride: u32,
  b_stride: u32,
  a_origin: u32,
  b_origin: u32,
  a_scale_origin: u32,
  b_scale_origin: u32,
  a_part: u32,  // columns that share a scale
  b_part: u32,
  a_parts: u32,  // scales in a row
  b_parts: u32,
  first_row: u32,  // of the batch
  row_factors: u32,
  scale: f32,
  margin: f32,
  margin_cos: f32,
  margin_sin: f32,
  margin_limit: f32,
  margin_drop: f32,
  sine_floor: f32,
}

@group(0) @binding(11) var<uniform> params: Params;
