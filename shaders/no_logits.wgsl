// A kernel that reads no logits.
fn load_logit(i: u32) -> f32 {
  return 0.0;
}

fn load_logit_word(i: u32) -> vec2<f32> {
  return vec2<f32>(0.0, 0.0);
}

fn load_logit_pair(i: u32) -> vec2<f32> {
  return vec2<f32>(0.0, 0.0);
}
