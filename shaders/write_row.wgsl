// What a row's kernel leaves behind, and the gradient of one term.

fn save_outputs(row: Row, out: RowLoss, argmax: U) {
  let nan = U(window.nan);
  store_saved(SAVED_LOSS, row.rows, select(bits_of(out.loss), nan, out.bad), row.live);
  store_saved(SAVED_LOG_SUM_EXP, row.rows, select(bits_of(out.log_sum_exp), nan, out.bad), row.live);
  store_saved(SAVED_PROBABILITY, row.rows, select(bits_of(out.probability), nan, out.bad), row.live);
  if (WANT_ARGMAX) {
    store_saved(SAVED_ARGMAX, row.rows, argmax, row.live);
  }
}

// What the backward pass needs besides.
fn save_coefficients(row: Row, out: RowLoss, threshold: F) {
  store_saved(SAVED_COEFFICIENT, row.rows, select(bits_of(out.coefficient), U(window.nan), out.bad), row.live);
  store_saved(SAVED_REFERENCE, row.rows, bits_of(out.reference), row.live);
  store_saved(SAVED_DENSE, row.rows, bits_of(out.dense), row.live);
  store_saved(SAVED_FIRST, row.rows, bits_of(out.first), row.live);
  store_saved(SAVED_SECOND, row.rows, bits_of(out.second), row.live);
  store_saved(SAVED_THRESHOLD, row.rows, bits_of(threshold), row.live);
}

fn load_coefficients(row: Row) -> RowLoss {
  var out: RowLoss;
  out.coefficient = float_of_bits(load_saved(SAVED_COEFFICIENT, row.rows));
  out.reference = float_of_bits(load_saved(SAVED_REFERENCE, row.rows));
  out.dense = float_of_bits(load_saved(SAVED_DENSE, row.rows));
  out.first = float_of_bits(load_saved(SAVED_FIRST, row.rows));
  out.second = float_of_bits(load_saved(SAVED_SECOND, row.rows));
  out.bad = (bits_of(out.coefficient) & U(0x7fffffffu)) > U(0x7f800000u);
  return out;
}

// Folds what no element needs to know into the coefficients of dL/du: the denominator and the upstream gradient, the
// spec's scale, so that they are those of dL/d(class_scale_j z_j), and that nothing is known of a bad row.
fn scaled(out: RowLoss, factor: F) -> RowLoss {
  var scaled = out;
  let all = select(factor * spec.scale, F(bitcast<f32>(window.nan)), out.bad);
  scaled.coefficient = out.coefficient * all;
  scaled.dense = out.dense * all;
  scaled.first = out.first * all;
  scaled.second = out.second * all;
  return scaled;
}

// dL/d(class_scale_j z_j), from scaled coefficients.
fn gradient_z(row: Row, out: RowLoss, j: u32, u: F, factor: F, weight: f32, at: AtLabel) -> F {
  var g = out.coefficient * exp_scaled(u - out.reference);
  if (HAS_FACTOR) {
    g *= factor;
  }
  return with_targets(row, out, j, g, weight, at);
}

// The same from its softmax part.
fn with_targets(row: Row, out: RowLoss, j: u32, softmax_part: F, weight: f32, at: AtLabel) -> F {
  var g = softmax_part;
  if (HAS_DENSE) {
    g -= out.dense * dense_target(row.dense, j, weight);
  }
  if (!SOFT_TARGETS) {
    g = select(g, out.first, at.first);
  }
  if (MIXED_TARGETS) {
    g = select(g, out.second, at.second);
  }
  return g;
}
