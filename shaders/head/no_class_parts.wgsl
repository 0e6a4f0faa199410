// Nobody has asked for the norms of the weights.

fn square_of_part(index: u32) -> f32 {
  return 0.0;
}
