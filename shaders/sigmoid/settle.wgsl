// One thread per row, after the rows are prepared: the row's weight where several positives make it, the largest weight
// of its elements for a norm, and the groups that a background row was drawn for.
//
// Dispatch: ceil(N / WG) workgroups for each range of rows, between prepare (and draw) and totals.

@group(0) @binding(1) var<storage, read> scalars: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows_out: array<u32>;

fn store_row(field: u32, row: u32, value: f32) {
  rows_out[field * window.rows + row] = bitcast<u32>(value);
}

fn read_row(field: u32, row: u32) -> f32 {
  return bitcast<f32>(rows_out[field * window.rows + row]);
}

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

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + local.x;
  if (row >= window.rows) {
    return;
  }
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
  if (HAS_DRAWS && read_row(FIELD_BACKGROUND, row) != 0.0) {
    var drawn = 0u;
    for (var group = 0u; group < GROUPS; group++) {
      let last = vec2<u32>(scalars[SCALAR_DRAWN + 2u * group], scalars[SCALAR_DRAWN + 2u * group + 1u]);
      let own = draw_of(row + window.first_row, group);
      let taken = own < last.x || own == last.x && window.batch_row + row < last.y;
      drawn |= select(0u, 1u << group, taken);
    }
    rows_out[FIELD_DRAWN * window.rows + row] = drawn;
  }
}
