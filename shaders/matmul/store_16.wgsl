// C in 16 bits, two in a word: stride and origin are even, so that a word belongs to one row. A word of which only
// the lower half is before `end` keeps its upper half.

fn load_c(row: u32, column: u32) -> vec4<f32> {
  let at = (params.c_origin + row * params.c_stride + column) >> 1u;
  let second = select(at, at + 1u, column + 2u < params.n);
  return vec4<f32>(decode_16(c[at]), decode_16(c[second]));
}

fn write_pair(at: u32, column: u32, end: u32, value: vec2<f32>) {
  let word = encode_16(value);
  if (column + 1u < end) {
    c[at] = word;
  } else {
    c[at] = (word & 0xffffu) | (c[at] & 0xffff0000u);
  }
}

// Four consecutive elements of a row, those before `end`.
fn write_c(row: u32, column: u32, end: u32, value: vec4<f32>) {
  let at = (params.c_origin + row * params.c_stride + column) >> 1u;
  write_pair(at, column, end, value.xy);
  if (column + 2u < end) {
    write_pair(at + 1u, column + 2u, end, value.zw);
  }
}
