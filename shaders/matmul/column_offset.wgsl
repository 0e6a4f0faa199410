// A number for each column of C, which is added to the product.

@group(0) @binding(7) var<storage, read> column_offsets: array<f32>;

fn column_offset(n: u32) -> vec4<f32> {
  let at = params.column_offset_origin + min(vec4<u32>(n) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.n - 1u));
  return vec4<f32>(column_offsets[at.x], column_offsets[at.y], column_offsets[at.z], column_offsets[at.w]);
}
