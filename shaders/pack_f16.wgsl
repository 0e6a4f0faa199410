// A packed gradient is f16.
fn pack_gradient(x: f32, y: f32) -> u32 {
  return pack_f16(x, y);
}
