// The gradient takes the logits' place.
@group(0) @binding(5) var<storage, read_write> logits: array<f32>;

fn load_logit(i: u32) -> f32 {
  return logits[i];
}

fn store_gradient(i: u32, value: f32) {
  logits[i] = value;
}
