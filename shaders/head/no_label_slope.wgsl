// No label has a margin.

fn is_label(row: u32, column: u32) -> bool {
  return false;
}

fn label_slope(row: u32) -> f32 {
  return 1.0;
}

fn label_rest(row: u32) -> f32 {
  return 0.0;
}
