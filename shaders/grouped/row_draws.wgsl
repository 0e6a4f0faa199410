// Draws of 32 bits. Needs step_draws.wgsl.

// Rows of an even and the next odd number share one call of the generator and take its first and its second word.
fn draw_word(row: u32, stream: u32) -> u32 {
  let words = threefry(row >> 1u, stream);
  return select(words.x, words.y, (row & 1u) == 1u);
}
