// What the margin makes of the gradient by a label's logit: its slope, and what that leaves.

fn label_slope(row: u32) -> f32 {
  return row_state[params.row_slopes + row];
}

fn label_rest(row: u32) -> f32 {
  return row_state[params.row_rests + row];
}
