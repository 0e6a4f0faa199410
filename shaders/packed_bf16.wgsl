// Two bf16 numbers in a word, the first in the low half, to and from f32.

fn unpack_bf16(word: u32) -> vec2<f32> {
  return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
}

// Rounded to the nearest, ties to even, in the high half; the low half is of no use. A NaN that has come out of arithmetic is
// a quiet one: the lowest of those takes its place, so that rounding up does not carry it over into other numbers.
fn bf16_high(x: f32) -> u32 {
  let bits = min(bitcast<u32>(min(bitcast<i32>(x), 0x7fc00000)), 0xffc00000u);
  return bits + 0x7fffu + ((bits >> 16u) & 1u);
}

fn pack_bf16(x: f32, y: f32) -> u32 {
  return (bf16_high(x) >> 16u) | (bf16_high(y) & 0xffff0000u);
}
