// Nothing asks for the features' norms.

fn row_square(row: u32) -> f32 {
  return 0.0;
}
