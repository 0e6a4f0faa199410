// What a row's targets add up to, made into its weight: where several positives make it, and the largest weight of its
// elements for a norm.

// (1 - beta) / (1 - beta^n).
fn effective(n: f32) -> f32 {
  return spec.one_minus_beta / one_minus_exp(n * spec.minus_log_beta);
}

fn weight_of_positives(row: u32) -> f32 {
  if (!HAS_RHO) {
    return 1.0;
  }
  if (spec.row_weight_rule == RULE_EFFECTIVE_OF_MIN) {
    return effective(read_row(FIELD_FACTOR, row));
  }
  let positives = read_row(FIELD_COUNT, row);
  if (!(positives > 0.0)) {
    return spec.row_weight_of_none;
  }
  let mean = read_row(FIELD_RHO, row) / positives;
  if (spec.row_weight_rule == RULE_MEAN) {
    return mean;
  }
  return effective(mean);
}

fn settle_row(row: u32) {
  var rho = read_row(FIELD_RHO, row);
  if (MULTI_HOT) {
    rho = weight_of_positives(row);
  }
  if (spec.weight_norm != NORM_NONE) {
    // Class weights and re-balancing do not go together with a norm, so that one of the two is 1.
    var largest = spec.largest_weight;
    if (HAS_REBALANCE) {
      largest = rebalanced(spec.extreme_inverse_count, read_row(FIELD_SHARE, row));
    }
    if (spec.weight_norm == NORM_ROW) {
      rho = select(0.0, 1.0 / largest, rho > 0.0 && largest > 0.0);
    }
    store_row(FIELD_FACTOR, row, rho * largest);
  }
  store_row(FIELD_RHO, row, rho);
}
