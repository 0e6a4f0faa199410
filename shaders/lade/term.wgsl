// dR / dz_j = factor_all_j e^{z + shift_j} - [j = y] factor_own_j, of rows that count, times the upstream gradient.

var<private> term_factor: F;
var<private> term_column: I;
var<private> term_bad: B;

fn open_column_term(rows: U) {
  let label = load_row_int(FIELD_LABEL, rows);
  term_factor = select(F(0.0), load_upstream_lanes(rows), label >= I(0));
  // Negative, or beyond the window's, where the label is elsewhere.
  term_column = select(I(LABEL_NONE), label - I(i32(window.first_class)), label >= I(0));
  term_bad = (load_saved(SAVED_LOSS, rows) & U(0x7fffffffu)) > U(0x7f800000u);
}

fn column_term(j: u32, z: F) -> F {
  let x = z + F(table(TABLE_SHIFT, j));
  let own = select(F(0.0), F(table(TABLE_FACTOR_OWN, j)), I(i32(j)) == term_column);
  let g = term_factor * (table(TABLE_FACTOR_ALL, j) * exp(x) - own);
  return select(select(g, F(0.0), term_factor == F(0.0)), F(bitcast<f32>(window.nan)), term_bad);
}
