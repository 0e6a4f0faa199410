// A gradient of 16 bits, two in a word. Needs pack_f16.wgsl or pack_bf16.wgsl. A kernel writes whole words only; a row's first and last element may share
// their words with other rows and go through `stitch`.

fn store_gradient(i: u32, value: f32) {
}

// The elements of a word.
fn store_gradient_word(i: u32, x: f32, y: f32) {
  write_gradient_word(i, pack_gradient(x, y));
}

// Elements i and i + 1, i even.
fn store_gradient_pair(i: u32, x: f32, y: f32) {
  store_gradient_word(i >> 1u, x, y);
}

fn gradient_bits(value: f32) -> u32 {
  return pack_gradient(value, 0.0) & 0xffffu;
}
