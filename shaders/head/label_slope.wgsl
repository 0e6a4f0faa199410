// What the margin makes of the gradient by a label's logit: the rest first, then the slope.

fn label_rest(row: u32, column: u32) -> f32 {
  return select(0.0, row_state[params.row_rests + row], is_label(row, column));
}

fn label_slope(row: u32, column: u32) -> f32 {
  return select(1.0, row_state[params.row_slopes + row], is_label(row, column));
}
