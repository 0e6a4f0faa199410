// A gradient apart from the logits.
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;

fn store_gradient(i: u32, value: f32) {
  gradient[i] = value;
}
