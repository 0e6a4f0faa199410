// Each class has a bias.

fn bias_of(column: u32) -> f32 {
  return bias[column];
}
