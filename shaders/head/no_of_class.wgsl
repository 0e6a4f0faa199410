// Classes bring nothing to their logits but their weights.

fn of_class(field: u32, j: u32) -> f32 {
  return 0.0;
}
