// Elements of A in f32, anywhere.

fn a_at(at: u32) -> f32 {
  return a[at];
}

// Four consecutive elements of a row; 0 outside of the matrix.
fn load_a(row: u32, column: u32) -> vec4<f32> {
  let start = params.a_origin + min(row, a_rows() - 1u) * params.a_stride;
  let columns = vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u);
  let at = start + min(columns, vec4<u32>(a_columns() - 1u));
  let values = vec4<f32>(a_at(at.x), a_at(at.y), a_at(at.z), a_at(at.w));
  let inside = columns < vec4<u32>(a_columns(), a_columns(), a_columns(), a_columns());
  return select(vec4<f32>(0.0), values, inside & vec4<bool>(row < a_rows()));
}
