// Eight consecutive halves of a row of A, from a column that is a multiple of 8; anything outside of the matrix. It is read
// by fours.
fn eight_a(row: u32, column: u32) -> vec4<u32> {
  let start = params.a_origin + min(row, a_rows() - 1u) * params.a_stride;
  let last = a_columns() - 4u;
  return vec4<u32>(a[(start + min(column, last)) >> 2u], a[(start + min(column + 4u, last)) >> 2u]);
}
