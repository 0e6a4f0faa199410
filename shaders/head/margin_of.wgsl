// The label's similarity with its margin; there is no way back.

fn margin_of(similarity: f32) -> f32 {
  return with_margin(similarity).value;
}
