// The reduced loss, and what went wrong: the sum of all items, by one workgroup.

fn close_batch(thread: u32) {
  let sum = sum_over_workgroup(thread, 0u, item_count());
  if (thread == 0u) {
    let inverse = bitcast<f32>(scalars[SCALAR_INVERSE]);
    let failed = sum.labels.count + sum.rows.count > 0u;
    // 0 * inf: an infinite loss of a batch without a denominator is still 0.
    let loss = select(sum.loss * inverse, 0.0, inverse == 0.0);
    scalars[SCALAR_LOSS] = select(bitcast<u32>(loss), window.nan, failed);
    scalars[SCALAR_BAD_LABELS] = sum.labels.count;
    scalars[SCALAR_FIRST_BAD_LABEL] = sum.labels.first;
    scalars[SCALAR_BAD_ROWS] = sum.rows.count;
    scalars[SCALAR_FIRST_BAD_ROW] = sum.rows.first;
  }
}
