// f32 to f16 and back. WGSL leaves the rounding of its own conversion open, and drivers do round towards 0.

// The bits of the nearest half but for its sign, ties to even; infinite from 65520 on, which rounds to the power of 2 after
// the largest.
//
// A sum with 2^13 times the number's power of 2 has its last bit where the half has it: what it adds to that power's bits
// are the half's digits, the leading one among them, which counts one up in the exponent. Powers below 2^-14 count as that
// one, as halves there have its steps and no leading one. By integers after the one sum, since compilers cancel a + b - b.
fn half_size(x: f32) -> u32 {
  let power = clamp(bitcast<u32>(x) & 0x7f800000u, 0x38800000u, 0x47800000u);
  let scale = power + 0x06800000u;
  let sum = bitcast<u32>(abs(x) + bitcast<f32>(scale));
  // (power - 0x38800000) >> 13 is the half's exponent.
  let size = min((sum - scale) + ((power >> 13u) - 0x0001c400u), 0x7c00u);
  return select(size, 0x7e00u, sum > 0x7f800000u);
}

fn half_bits(x: f32) -> u32 {
  return ((bitcast<u32>(x) >> 16u) & 0x8000u) | half_size(x);
}

fn half_of_bits(bits: u32) -> f32 {
  return unpack2x16float(bits).x;
}
