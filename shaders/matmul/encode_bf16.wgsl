// C of bf16, two in a word.

fn encode_16(value: vec2<f32>) -> u32 {
  return pack_bf16(value.x, value.y);
}

fn decode_16(word: u32) -> vec2<f32> {
  return unpack_bf16(word);
}
