// Eight consecutive halves of a row of A, from a column that is a multiple of 8; anything outside of the matrix. It is read
// by eights.
fn eight_a(row: u32, column: u32) -> vec4<u32> {
  let start = params.a_origin + min(row, a_rows() - 1u) * params.a_stride;
  return a[(start + min(column, a_columns() - 8u)) >> 3u];
}
