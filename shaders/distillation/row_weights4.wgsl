// The weights of four rows.
fn load_row_weights(rows: U) -> F {
  return F(load_row_weight(rows.x), load_row_weight(rows.y), load_row_weight(rows.z), load_row_weight(rows.w));
}
