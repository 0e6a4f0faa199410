// A number for each row of C, which is added to the product.

@group(0) @binding(6) var<storage, read> row_offsets: array<f32>;

fn row_offset(m: u32) -> f32 {
  return row_offsets[params.row_offset_origin + min(m, params.m - 1u)];
}
