// Eight consecutive halves of a row of B, from a column that is a multiple of 8; anything outside of the matrix. It is read
// by eights.
fn eight_b(row: u32, column: u32) -> vec4<u32> {
  let start = params.b_origin + min(row, b_rows() - 1u) * params.b_stride;
  return b[(start + min(column, b_columns() - 8u)) >> 3u];
}
