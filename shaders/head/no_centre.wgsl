// Nothing is taken off the features.

fn centre_of(column: u32) -> f32 {
  return 0.0;
}
