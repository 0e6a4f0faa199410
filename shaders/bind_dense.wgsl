// Soft targets or given gates, [N, K].
@group(0) @binding(7) var<storage, read> dense: array<f32>;

fn load_dense(i: u32) -> f32 {
  return dense[i];
}
