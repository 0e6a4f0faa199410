// Eight consecutive halves of a row of B, from a column that is a multiple of 8; anything outside of the matrix. It is read
// by fours.
fn eight_b(row: u32, column: u32) -> vec4<u32> {
  let start = params.b_origin + min(row, b_rows() - 1u) * params.b_stride;
  let last = b_columns() - 4u;
  return vec4<u32>(b[(start + min(column, last)) >> 2u], b[(start + min(column + 4u, last)) >> 2u]);
}
