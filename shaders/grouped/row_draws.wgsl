// Draws under the step's key. Needs `scalars` and draws.wgsl.

fn threefry(c0: u32, c1: u32) -> vec2<u32> {
  return threefry_under(scalars[SCALAR_KEY_0], scalars[SCALAR_KEY_1], c0, c1);
}

// Rows of an even and the next odd number share one call of the generator and take its first and its second word.
fn draw_word(row: u32, stream: u32) -> u32 {
  let words = threefry(row >> 1u, stream);
  return select(words.x, words.y, (row & 1u) == 1u);
}
