// Two f16 numbers in a word, the first in the low half, from f32; WGSL unpacks them itself. Needs half.wgsl.

fn pack_f16(x: f32, y: f32) -> u32 {
  return half_bits(x) | (half_bits(y) << 16u);
}
