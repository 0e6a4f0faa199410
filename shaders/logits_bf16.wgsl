// Packed logits are bf16.
fn unpack_logits(word: u32) -> vec2<f32> {
  return unpack_bf16(word);
}
