// Two f16 numbers in a word, the first in the low half, from f32; WGSL unpacks them itself.

// The bits of a half where the conversion leaves its range: WGSL does not say what pack2x16float does there, and an
// overflow has to show as infinity. NaN by its bits.
fn f16_exception(x: f32, bits: u32) -> u32 {
  let infinite = select(bits, 0x7c00u | ((bitcast<u32>(x) >> 16u) & 0x8000u), abs(x) >= 65520.0);
  return select(infinite, 0x7e00u, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

fn pack_f16(x: f32, y: f32) -> u32 {
  let held = clamp(vec2<f32>(x, y), vec2<f32>(-65504.0), vec2<f32>(65504.0));
  let word = pack2x16float(held);
  return f16_exception(x, word & 0xffffu) | (f16_exception(y, word >> 16u) << 16u);
}
