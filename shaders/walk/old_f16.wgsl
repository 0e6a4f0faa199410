// What the gradient's buffer holds, f16, two in a word.
fn old_gradient(i: u32) -> f32 {
  let pair = unpack2x16float(read_gradient_word(i >> 1u));
  return select(pair.x, pair.y, (i & 1u) == 1u);
}
