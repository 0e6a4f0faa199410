// Logits the kernel only reads.
@group(0) @binding(5) var<storage, read> logits: array<f32>;

fn load_logit(i: u32) -> f32 {
  return logits[i];
}
