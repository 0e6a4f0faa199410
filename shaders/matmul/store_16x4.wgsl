// C in 16 bits, by fours: columns, stride and origin are multiples of 4.

fn load_c(row: u32, column: u32) -> vec4<f32> {
  let words = c[(params.c_origin + row * params.c_stride + column) >> 2u];
  return vec4<f32>(decode_16(words.x), decode_16(words.y));
}

fn write_c(row: u32, column: u32, end: u32, value: vec4<f32>) {
  let at = (params.c_origin + row * params.c_stride + column) >> 2u;
  c[at] = vec2<u32>(encode_16(value.xy), encode_16(value.zw));
}
