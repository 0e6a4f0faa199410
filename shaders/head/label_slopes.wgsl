// The margin's slope in the gradient by a label's logit.

fn at_label(row: u32, column: u32, gradient: f32) -> f32 {
  return gradient * label_slope(row);
}
