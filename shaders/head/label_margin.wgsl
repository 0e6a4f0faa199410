// The margin of a row's label, whose slope and rest are kept for the way back.

fn target_of(row: u32, column: u32, similarity: f32) -> f32 {
  if (!is_label(row, column)) {
    return similarity;
  }
  let slope = with_margin(similarity);
  row_state[params.row_slopes + row] = slope.derivative;
  row_state[params.row_rests + row] = slope.value - slope.derivative * similarity;
  return slope.value;
}
