// Factors of the rows of A, or of their parts, that multiply each element as it is read.

fn scale_a(row: u32, column: u32) -> vec4<f32> {
  let at = params.a_scale_origin + min(row, a_rows() - 1u) * params.a_parts;
  if (!A_PARTS) {
    return vec4<f32>(a_scales[at]);
  }
  // Four columns in one part share its factor.
  if (params.a_part % 4u == 0u) {
    return vec4<f32>(a_scales[at + min(column / params.a_part, params.a_parts - 1u)]);
  }
  let part = min((vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u)) / params.a_part, vec4<u32>(params.a_parts - 1u));
  return vec4<f32>(a_scales[at + part.x], a_scales[at + part.y], a_scales[at + part.z], a_scales[at + part.w]);
}

fn late_a(m: u32) -> f32 {
  return 1.0;
}
