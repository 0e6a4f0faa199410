// No label has a margin.

fn margin_of(similarity: f32) -> f32 {
  return similarity;
}
