// Nothing is drawn.
fn draw_word(row: u32, stream: u32) -> u32 {
  return 0u;
}

fn threefry(c0: u32, c1: u32) -> vec2<u32> {
  return vec2<u32>(c0, c1);
}
