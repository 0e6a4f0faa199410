// Eight consecutive elements of a row of B, from a column that is a multiple of 8, times their factors and rounded to halves
// as the device does it; anything outside of the matrix.
fn eight_b(row: u32, column: u32) -> vec4<u32> {
  let first = load_b(row, column) * scale_b(row, column);
  let second = load_b(row, column + 4u) * scale_b(row, column + 4u);
  return vec4<u32>(
    pack2x16float(first.xy),
    pack2x16float(first.zw),
    pack2x16float(second.xy),
    pack2x16float(second.zw),
  );
}
