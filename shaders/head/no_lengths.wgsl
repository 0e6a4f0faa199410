// No distance, no norm.

fn row_length(row: u32) -> f32 {
  return 0.0;
}
