// Soft targets or given gates, [N, K], in a buffer that the kernel also writes.
@group(0) @binding(7) var<storage, read_write> dense: array<f32>;

fn load_dense(i: u32) -> f32 {
  return dense[i];
}
