// The gradient by normalised rows is B.

fn b_rows() -> u32 {
  return params.m;
}

fn b_columns() -> u32 {
  return params.k;
}

fn load_gradient(row: u32, column: u32) -> vec4<f32> {
  return load_b(row, column);
}
