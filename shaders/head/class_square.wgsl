// The squared norms of normalised rows of weights, from their sums of squares and factors.

fn class_square(column: u32) -> f32 {
  var square = 0.0;
  for (var part = column * params.a_parts; part < (column + 1u) * params.a_parts; part += 1u) {
    let factor = class_state[params.class_factors + part];
    square += class_state[part] * factor * factor;
  }
  return square;
}
