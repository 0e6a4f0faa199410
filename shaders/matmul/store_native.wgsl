// C as an array of f16, anywhere.

fn load_c(row: u32, column: u32) -> vec4<f32> {
  let at = params.c_origin + row * params.c_stride + min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.n - 1u));
  return vec4<f32>(vec4<f16>(c[at.x], c[at.y], c[at.z], c[at.w]));
}

// Four consecutive elements of a row, those before `end`.
fn write_c(row: u32, column: u32, end: u32, value: vec4<f32>) {
  let at = params.c_origin + row * params.c_stride + column;
  c[at] = f16(half_of_bits(half_bits(value.x)));
  if (column + 1u < end) {
    c[at + 1u] = f16(half_of_bits(half_bits(value.y)));
  }
  if (column + 2u < end) {
    c[at + 2u] = f16(half_of_bits(half_bits(value.z)));
  }
  if (column + 3u < end) {
    c[at + 3u] = f16(half_of_bits(half_bits(value.w)));
  }
}
