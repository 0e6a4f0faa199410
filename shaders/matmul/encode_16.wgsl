// Numbers of 16 bits, two in a word: f16 or bf16, rounded to the nearest, ties to even. By integers, because
// pack2x16float may round otherwise and has no value beyond 65504.

const F32_INFINITY: u32 = 0x7f800000u;

fn f16_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16u) & 0x8000u;
  let size = bits & 0x7fffffffu;
  // From 65520 on, which rounds to the power of 2 after the largest number.
  if (size >= 0x477ff000u) {
    return sign | select(0x7c00u, 0x7e00u, size > F32_INFINITY);
  }
  // Below 2^-14: 0.5 has its last bit where these numbers have theirs.
  if (size < 0x38800000u) {
    return sign | (bitcast<u32>(bitcast<f32>(size) + 0.5) - 0x3f000000u);
  }
  return sign | ((size + 0xfffu + ((size >> 13u) & 1u) - 0x38000000u) >> 13u);
}

fn bf16_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if ((bits & 0x7fffffffu) > F32_INFINITY) {
    return 0x7fc0u;
  }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

fn encode_16(value: vec2<f32>) -> u32 {
  if (C_BF16) {
    return bf16_bits(value.x) | (bf16_bits(value.y) << 16u);
  }
  return f16_bits(value.x) | (f16_bits(value.y) << 16u);
}

fn decode_16(word: u32) -> vec2<f32> {
  if (C_BF16) {
    return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u));
  }
  return unpack2x16float(word);
}
