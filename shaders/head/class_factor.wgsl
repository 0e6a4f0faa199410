// The weights' parts have factors that normalise them.

fn factor_of_part(part: u32) -> f32 {
  return class_state[params.class_factors + part];
}
