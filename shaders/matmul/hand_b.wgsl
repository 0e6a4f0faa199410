// Each thread reads what it needs of B.

fn hand_b(n: u32, k: u32, lane: u32) -> mat4x4<f32> {
  return block_b(n, k);
}
