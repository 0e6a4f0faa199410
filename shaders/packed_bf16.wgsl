// Two bf16 numbers in a word, the first in the low half, to and from f32.

fn unpack_bf16(word: u32) -> vec2<f32> {
  return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
}

// Rounds to nearest, ties to even; NaN stays NaN.
fn bf16_bits(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
  return select(rounded, 0x7fc0u, (bits & 0x7fffffffu) > 0x7f800000u);
}

fn pack_bf16(x: f32, y: f32) -> u32 {
  return bf16_bits(x) | (bf16_bits(y) << 16u);
}
