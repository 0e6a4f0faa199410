// Factors of the rows of B, or of their parts, that multiply each element as it is read.

fn scale_b(row: u32, column: u32) -> vec4<f32> {
  let at = params.b_scale_origin + min(row, b_rows() - 1u) * params.b_parts;
  if (!B_PARTS) {
    return vec4<f32>(b_scales[at]);
  }
  // Four columns in one part share its factor.
  if (params.b_part % 4u == 0u) {
    return vec4<f32>(b_scales[at + min(column / params.b_part, params.b_parts - 1u)]);
  }
  let part = min((vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u)) / params.b_part, vec4<u32>(params.b_parts - 1u));
  return vec4<f32>(b_scales[at + part.x], b_scales[at + part.y], b_scales[at + part.z], b_scales[at + part.w]);
}

fn late_b(n: u32) -> vec4<f32> {
  return vec4<f32>(1.0);
}
