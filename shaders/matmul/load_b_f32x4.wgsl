// Elements of B in f32, by fours: columns, stride and origin are multiples of 4.

fn b_quad(at: u32) -> vec4<f32> {
  return b[at];
}

// Four consecutive elements of a row, from a column that is a multiple of 4; 0 outside of the matrix.
fn load_b(row: u32, column: u32) -> vec4<f32> {
  let start = params.b_origin + min(row, b_rows() - 1u) * params.b_stride;
  let values = b_quad((start + min(column, b_columns() - 4u)) >> 2u);
  return select(vec4<f32>(0.0), values, row < b_rows() && column < b_columns());
}
