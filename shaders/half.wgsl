// Rounding to f16 in f32. WGSL leaves the rounding of its own conversions open, and drivers do round towards 0.

// The nearest half of a number, ties to even; infinite from 65520 on, which rounds to the power of 2 after the largest
// half. A sum with 1.5 * 2^13 times the number's power of 2 has its last bit where the half has it. Powers below 2^-14
// count as that one, as halves there have its steps.
fn nearest_half(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let shift = bitcast<f32>(clamp(bits & 0x7f800000u, 0x38800000u, 0x47800000u) + 0x06c00000u);
  let near = (x + shift) - shift;
  return select(near, bitcast<f32>((bits & 0x80000000u) | 0x7f800000u), abs(near) >= 65536.0);
}
