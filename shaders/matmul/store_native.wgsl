// C as an array of f16, anywhere.

fn load_c(row: u32, column: u32) -> vec4<f32> {
  let at = params.c_origin + row * params.c_stride + min(vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.n - 1u));
  return vec4<f32>(vec4<f16>(c[at.x], c[at.y], c[at.z], c[at.w]));
}

// Four consecutive elements of a row, those before `end`.
fn write_c(row: u32, column: u32, end: u32, value: vec4<f32>) {
  let at = params.c_origin + row * params.c_stride + column;
  // Rounded before they are converted: a conversion may round otherwise.
  let low = vec2<f16>(decode_16(encode_16(value.xy)));
  let high = vec2<f16>(decode_16(encode_16(value.zw)));
  c[at] = low.x;
  if (column + 1u < end) {
    c[at + 1u] = low.y;
  }
  if (column + 2u < end) {
    c[at + 2u] = high.x;
  }
  if (column + 3u < end) {
    c[at + 3u] = high.y;
  }
}
