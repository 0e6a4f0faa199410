// Gates or weights of elements, [N, K], in a buffer that the kernel also writes.
@group(0) @binding(9) var<storage, read_write> gates: array<f32>;

fn load_gate(i: u32) -> f32 {
  return gates[i];
}
