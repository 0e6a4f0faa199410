// What normalises a part of a row of weights.

fn class_factor(part: u32) -> f32 {
  return class_state[params.class_factors + part];
}
