// A kernel that writes no gradient.
fn store_gradient(i: u32, value: f32) {
}

fn store_gradient_word(i: u32, x: f32, y: f32) {
}

fn store_gradient_pair(i: u32, x: f32, y: f32) {
}

fn gradient_bits(value: f32) -> u32 {
  return 0u;
}
