// What a class brings to its logits, from the numbers that have been put together.

fn of_class(field: u32, j: u32) -> f32 {
  return b_scales[field * params.n + j];
}
