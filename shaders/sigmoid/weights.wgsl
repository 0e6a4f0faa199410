// W of an element: constants in the gradient.

fn target_of(row: Row, j: u32) -> F {
  if (MULTI_HOT) {
    return load_dense_lanes(row.dense, j);
  }
  return select(F(0.0), F(1.0), I(i32(j)) == row.label);
}

// One number for positives, another for negatives, between them in proportion.
fn sided(t: F, positive: f32, negative: f32) -> F {
  if (MULTI_HOT) {
    return t * positive + (1.0 - t) * negative;
  }
  return select(F(negative), F(positive), t > F(0.0));
}

// v of a logit. -inf stays masked, as scales are above 0; what overflows upwards is held at the largest f32.
fn adjusted(row: Row, column: Column, z: F) -> F {
  var v = z * spec.scale;
  if (HAS_BIAS) {
    v += select(F(column.bias), F(0.0), row.background & B(!BIAS_ON_BACKGROUND));
  }
  return clamp(v, F(NEG_MAX), F(POS_MAX));
}

// alpha + sigmoid(beta (r - gamma)), r = (1 / n_j) spread. Far below 0 nothing is left of the exponential, as should be.
fn rebalanced_of(row: Row, slope: f32) -> F {
  return spec.rebalance_alpha + 1.0 / (1.0 + exp(min(spec.rebalance_start - slope * row.spread, F(80.0))));
}

// Whether a negative counts.
fn counts(row: Row, column: Column, j: u32, v: F) -> B {
  var open = B(true);
  if (HAS_GATE) {
    var closed = B(column.tail);
    if (GATE_DRAWS) {
      closed = gated(row.rows, row.dense, j, column.tail);
    }
    open = row.background | !closed;
  }
  if (GATE_GIVEN) {
    open = row.background | (load_gates_lanes(row.dense, j) != F(0.0));
  }
  if (HAS_SUPPRESSION) {
    var drawn = B(i32(j + window.first_class) == spec.background_column);
    if (HAS_DRAWS) {
      drawn = drawn | (((row.drawn >> U(column.group)) & I(1)) == I(1));
    } else {
      drawn = drawn | (load_gates_lanes(row.dense, j) != F(0.0));
    }
    open = open & select(v >= F(spec.score_threshold), drawn, row.background);
  }
  return open;
}

fn weight_of(row: Row, column: Column, j: u32, t: F, v: F) -> F {
  var w = row.weight * column.weight * row.rho;
  if (HAS_REBALANCE) {
    w *= rebalanced_of(row, column.rebalance_slope);
  }
  if (HAS_SIDES) {
    w *= sided(t, spec.positive_factor, spec.negative_factor);
  }
  if (HAS_NEGATIVE_SCALE) {
    w *= sided(t, 1.0, spec.inverse_negative_scale);
  }
  if (HAS_BALANCE) {
    if (POSITIVE_OF_ROW) {
      w *= select(F(column.negative), row.positive, t > F(0.0));
    } else {
      w *= sided(t, column.positive, column.negative);
    }
  }
  if (HAS_GATE || GATE_GIVEN || HAS_SUPPRESSION) {
    w *= select(t, F(1.0), counts(row, column, j, v));
  }
  if (WEIGHTS_GIVEN) {
    w *= load_gates_lanes(row.dense, j);
  }
  return w;
}
