// C of f16, two in a word.

fn encode_16(value: vec2<f32>) -> u32 {
  return pack_f16(value.x, value.y);
}

fn decode_16(word: u32) -> vec2<f32> {
  return unpack2x16float(word);
}
