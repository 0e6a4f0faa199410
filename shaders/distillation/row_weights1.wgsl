// The weight of one row.
fn load_row_weights(rows: U) -> F {
  return load_row_weight(rows);
}
