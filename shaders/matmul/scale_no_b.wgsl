// The rows of B have no factors.

fn scale_b(row: u32, column: u32) -> vec4<f32> {
  return vec4<f32>(1.0);
}

fn late_b(n: u32) -> vec4<f32> {
  return vec4<f32>(1.0);
}
