// What normalises a row.

fn factor_of(row: u32) -> f32 {
  return row_state[params.row_factors + row];
}
