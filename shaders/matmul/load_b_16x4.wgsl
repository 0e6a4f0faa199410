// Elements of B in 16 bits, by fours: columns, stride and origin are multiples of 4.

fn b_quad(at: u32) -> vec4<f32> {
  let words = b[at];
  if (B_BF16) {
    let low = bitcast<vec2<f32>>(words << vec2<u32>(16u));
    let high = bitcast<vec2<f32>>(words & vec2<u32>(0xffff0000u));
    return vec4<f32>(low.x, high.x, low.y, high.y);
  }
  return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

// Four consecutive elements of a row, from a column that is a multiple of 4; 0 outside of the matrix.
fn load_b(row: u32, column: u32) -> vec4<f32> {
  let start = params.b_origin + min(row, b_rows() - 1u) * params.b_stride;
  let values = b_quad((start + min(column, b_columns() - 4u)) >> 2u);
  return select(vec4<f32>(0.0), values, row < b_rows() && column < b_columns());
}
