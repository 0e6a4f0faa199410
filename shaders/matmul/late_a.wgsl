// One factor for each row of A, and a row of A is a row of C: what the row gives is multiplied once, when it is stored.

fn scale_a(row: u32, column: u32) -> vec4<f32> {
  return vec4<f32>(1.0);
}

fn late_a(m: u32) -> f32 {
  return a_scales[params.a_scale_origin + min(m, params.m - 1u)];
}
