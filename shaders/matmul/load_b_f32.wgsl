// Elements of B in f32, anywhere.

fn b_at(at: u32) -> f32 {
  return b[at];
}

// Four consecutive elements of a row; 0 outside of the matrix.
fn load_b(row: u32, column: u32) -> vec4<f32> {
  let start = params.b_origin + min(row, b_rows() - 1u) * params.b_stride;
  let columns = vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u);
  let at = start + min(columns, vec4<u32>(b_columns() - 1u));
  let values = vec4<f32>(b_at(at.x), b_at(at.y), b_at(at.z), b_at(at.w));
  let inside = columns < vec4<u32>(b_columns(), b_columns(), b_columns(), b_columns());
  return select(vec4<f32>(0.0), values, inside & vec4<bool>(row < b_rows()));
}
