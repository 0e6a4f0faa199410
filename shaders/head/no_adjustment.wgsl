// Nothing is subtracted from the logits.

fn adjustment_of(column: u32) -> f32 {
  return 0.0;
}
