// The gradient by normalised rows is what C holds.

fn load_gradient(row: u32, column: u32) -> vec4<f32> {
  return load_c(row, column);
}
