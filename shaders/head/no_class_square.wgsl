// Nothing asks for the weights' norms.

fn class_square(column: u32) -> f32 {
  return 0.0;
}
