// What is subtracted from each class's logit at test time.

fn adjustment_of(column: u32) -> f32 {
  return adjustment[column];
}
