// No label has a margin.

fn label_rest(row: u32, column: u32) -> f32 {
  return 0.0;
}

fn label_slope(row: u32, column: u32) -> f32 {
  return 1.0;
}
