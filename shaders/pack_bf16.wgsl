// A packed gradient is bf16.
fn pack_gradient(x: f32, y: f32) -> u32 {
  return pack_bf16(x, y);
}
