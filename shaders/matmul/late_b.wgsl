// One factor for each row of B, and a row of B is a column of C: what the row gives is multiplied once, when it is
// stored.

fn scale_b(row: u32, column: u32) -> vec4<f32> {
  return vec4<f32>(1.0);
}

fn late_b(n: u32) -> vec4<f32> {
  let at = params.b_scale_origin + min(vec4<u32>(n) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.n - 1u));
  return vec4<f32>(b_scales[at.x], b_scales[at.y], b_scales[at.z], b_scales[at.w]);
}
