// The upstream gradient in a buffer that the kernel also writes.
@group(0) @binding(8) var<storage, read_write> upstream: array<f32>;

fn load_upstream(row: u32) -> f32 {
  return upstream[min(row + window.row_shift, arrayLength(&upstream) - 1u)];
}
