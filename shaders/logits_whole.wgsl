// Logits that have a word each: f32, or f16 where the device has it.

fn load_logit(i: u32) -> f32 {
  return f32(logits[i]);
}

// Only where two share a word.
fn load_logit_word(i: u32) -> vec2<f32> {
  return vec2<f32>(0.0, 0.0);
}

fn load_logit_pair(i: u32) -> vec2<f32> {
  return vec2<f32>(load_logit(i), load_logit(i + 1u));
}
