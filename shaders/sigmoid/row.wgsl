// A row as the kernels over logits see it: where it lies, and what its targets decide.

struct Row {
  rows: U,
  live: B,
  logits: U,
  gradient: U,
  dense: U,
  shift: u32,
  // The label's column in this window, negative without one.
  label: I,
  weight: F,      // the batch's weight; 0 for rows that do not count
  rho: F,         // the weight from the row's positives, over its norm
  background: B,
  spread: F,      // 1 / sum_k t_k / n_k, large without a positive
  margin: F,
  positive: F,    // the label's P of accumulated gradients
  drawn: I,
  kept: B,
}

fn open_row(group: u32) -> Row {
  var row: Row;
  row.rows = lane_rows(group);
  row.live = live_lanes(group);
  row.logits = window.logits_origin + row.rows * window.logits_stride;
  row.gradient = window.gradient_origin + row.rows * window.gradient_stride;
  row.dense = window.dense_origin + row.rows * window.dense_stride;
  row.shift = pair_shift(first_lane(row.logits), first_lane(row.gradient));
  row.label = I(LABEL_NONE);
  row.kept = B(true);
  row.background = B(false);
  if (!MULTI_HOT) {
    let label = load_row_int(FIELD_LABEL, row.rows);
    let column = label - I(i32(window.first_class));
    row.label = select(I(LABEL_NONE), column, (label >= I(0)) & (column >= I(0)) & (column < I(i32(window.classes))));
    row.kept = label != I(LABEL_NONE);
    if (HAS_BACKGROUND) {
      row.background = load_row(FIELD_BACKGROUND, row.rows) != F(0.0);
    }
  }
  row.weight = load_row(FIELD_WEIGHT, row.rows);
  row.rho = F(1.0);
  if (HAS_RHO || HAS_NORM) {
    row.rho = load_row(FIELD_RHO, row.rows) ;
  }
  if (HAS_NORM) {
    row.rho *= select(1.0, bitcast<f32>(scalars[SCALAR_NORM]), spec.weight_norm == NORM_BATCH);
  }
  if (HAS_REBALANCE) {
    row.spread = 1.0 / max(load_row(FIELD_SHARE, row.rows), F(1e-30));
  }
  if (MARGIN_SUMMED) {
    row.margin = load_row(FIELD_MARGIN, row.rows);
  }
  if (POSITIVE_OF_ROW) {
    row.positive = load_class_at(COLUMN_POSITIVE, U(max(row.label, I(0))));
  }
  if (HAS_DRAWS) {
    row.drawn = load_row_int(FIELD_DRAWN, row.rows);
  }
  return row;
}

// What the gradient is multiplied with: the upstream gradient over the denominator.
fn row_factor(row: Row) -> F {
  if (FACTOR_OF_ROWS) {
    return load_row(FIELD_FACTOR, row.rows);
  }
  return F(bitcast<f32>(scalars[SCALAR_INVERSE]));
}
