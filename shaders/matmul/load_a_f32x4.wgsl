// Elements of A in f32, by fours: columns, stride and origin are multiples of 4.

fn a_quad(at: u32) -> vec4<f32> {
  return a[at];
}

// Four consecutive elements of a row, from a column that is a multiple of 4; 0 outside of the matrix.
fn load_a(row: u32, column: u32) -> vec4<f32> {
  let start = params.a_origin + min(row, a_rows() - 1u) * params.a_stride;
  let values = a_quad((start + min(column, a_columns() - 4u)) >> 2u);
  return select(vec4<f32>(0.0), values, row < a_rows() && column < a_columns());
}
