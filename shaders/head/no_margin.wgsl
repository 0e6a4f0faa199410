// No label has a margin.

fn target_of(row: u32, column: u32, similarity: f32) -> f32 {
  return similarity;
}
