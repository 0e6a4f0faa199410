// The sums of squares of the rows' parts, as the norms have left them.

fn square_of_part(index: u32) -> f32 {
  return class_state[index];
}
