// The same by the driver's own conversion, where that has been seen to give the same for every number (compare.wgsl).

fn pack_f16(x: f32, y: f32) -> u32 {
  return pack2x16float(vec2<f32>(x, y));
}
