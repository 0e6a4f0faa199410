// Gates or weights of elements, [N, K]. They lie as the dense targets do.
@group(0) @binding(9) var<storage, read> gates: array<f32>;

fn load_gate(i: u32) -> f32 {
  return gates[i];
}
