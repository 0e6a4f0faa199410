// Two f16 numbers in a word, the first in the low half, from f32; WGSL unpacks them itself. Needs half.wgsl.

fn pack_f16(x: f32, y: f32) -> u32 {
  let signs = (bitcast<u32>(x) >> 16u) | (bitcast<u32>(y) & 0xffff0000u);
  return half_size(x) | (half_size(y) << 16u) | (signs & 0x80008000u);
}
