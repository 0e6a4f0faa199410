// The squared norms of normalised rows of features, from their sums of squares and factors. `row` is one of the batch.

fn row_square(row: u32) -> f32 {
  var square = 0.0;
  for (var part = row * params.a_parts; part < (row + 1u) * params.a_parts; part += 1u) {
    let factor = row_state[params.row_factors + part];
    square += row_state[part] * factor * factor;
  }
  return square;
}
