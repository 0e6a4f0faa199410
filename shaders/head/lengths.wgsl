// The squared norm of a normalised row of features, from its sums of squares and factors. `row` is one of the window.

fn row_length(row: u32) -> f32 {
  var square = 0.0;
  let first = (params.first_row + row) * params.a_parts;
  for (var part = first; part < first + params.a_parts; part += 1u) {
    let factor = a_scales[params.row_factors + part];
    square += a_scales[part] * factor * factor;
  }
  return square;
}
