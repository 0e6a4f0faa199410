// C in f32, by fours: columns, stride and origin are multiples of 4.

fn load_c(row: u32, column: u32) -> vec4<f32> {
  return c[(params.c_origin + row * params.c_stride + column) >> 2u];
}

fn write_c(row: u32, column: u32, end: u32, value: vec4<f32>) {
  c[(params.c_origin + row * params.c_stride + column) >> 2u] = value;
}
