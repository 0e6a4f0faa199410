// A gradient whose elements have a word each: f32.

fn store_gradient(i: u32, value: f32) {
  write_gradient_word(i, value);
}

// Only where two share a word.
fn store_gradient_word(i: u32, x: f32, y: f32) {
}

fn store_gradient_pair(i: u32, x: f32, y: f32) {
  store_gradient(i, x);
  store_gradient(i + 1u, y);
}

fn gradient_bits(value: f32) -> u32 {
  return 0u;
}
