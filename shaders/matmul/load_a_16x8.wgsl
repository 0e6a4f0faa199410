// Elements of A in f16, by eights: columns, stride and origin are multiples of 8.

// Four consecutive elements of a row, from a column that is a multiple of 4; 0 outside of the matrix.
fn load_a(row: u32, column: u32) -> vec4<f32> {
  let at = params.a_origin + min(row, a_rows() - 1u) * params.a_stride + min(column, a_columns() - 4u);
  let words = a[at >> 3u];
  let two = select(words.xy, words.zw, (at & 4u) != 0u);
  let values = vec4<f32>(unpack2x16float(two.x), unpack2x16float(two.y));
  return select(vec4<f32>(0.0), values, row < a_rows() && column < a_columns());
}
