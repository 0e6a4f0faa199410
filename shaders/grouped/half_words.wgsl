// One half of a packed gradient's word; the other one stays.
fn write_half(row: Row, j: u32, g: f32) {
  let at = row.gradient + j;
  let old = read_gradient_word(at >> 1u);
  let bits = gradient_bits(g);
  let high = (old & 0xffffu) | (bits << 16u);
  write_gradient_word(at >> 1u, select((old & 0xffff0000u) | bits, high, (at & 1u) == 1u));
}
