// The 32-bit draw of a row for a group of classes; needs step_draws.wgsl.

// scalars[]: for each group the last draw that is taken, and the first row that is not.
const SCALAR_DRAWN: u32 = 16u;

fn draw_of(row: u32, group: u32) -> u32 {
  let words = threefry(row >> 1u, FIRST_STREAM - group);
  return select(words.x, words.y, (row & 1u) == 1u);
}
