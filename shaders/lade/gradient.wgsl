// dR / dz_j = factor_all_j e^{z + ratio_j - max_j} - [j = y] factor_own_j, of rows that count.

var<private> row_factor: f32;
var<private> row_column: i32;
var<private> row_bad: bool;

fn open_terms(row: Row) {
  let label = load_row_int(FIELD_LABEL, row.rows);
  row_factor = select(0.0, load_upstream(row.rows), label >= 0);
  // Negative, or beyond the window's, where the label is elsewhere.
  row_column = select(-1, label - i32(window.first_class), label >= 0);
  row_bad = is_nan(bitcast<f32>(load_saved(SAVED_LOSS, row.rows)));
}

fn element_gradient(row: Row, j: u32, z: f32) -> f32 {
  let x = clamp(z + table(TABLE_RATIO, j), NEG_MAX, POS_MAX);
  var g = table(TABLE_FACTOR_ALL, j) * exp(x - table(TABLE_MAX, j));
  if (i32(j) == row_column) {
    g -= table(TABLE_FACTOR_OWN, j);
  }
  g = select(row_factor * g, 0.0, row_factor == 0.0);
  return select(g, bitcast<f32>(window.nan), row_bad);
}
