// From a row's masses to its result: one thread computes and saves it, all get it.

// One thread's result, handed to all.
var<workgroup> shared_row: RowLoss;

fn share_row(thread: u32, mine: RowLoss) -> RowLoss {
  workgroupBarrier();
  if (thread == 0u) {
    shared_row = mine;
  }
  workgroupBarrier();
  return shared_row;
}

// The row's result is left in `saved`.
fn save_row(row: Row, mine: RowLoss, argmax: U, threshold: F) {
  save_outputs(row, mine, argmax);
  if (WRITE_COEFFICIENTS) {
    save_coefficients(row, mine, threshold);
  }
}

// With WRITE_GRADIENT the coefficients come back with the denominator in them.
fn close_row(thread: u32, row: Row, total: Mass, labels: LabelLogits, threshold: F, scan: Scan) -> RowLoss {
  let bad = any_over_workgroup(thread, has_bad_logit(scan));
  var argmax = U(0u);
  if (WANT_ARGMAX) {
    argmax = argmax_over_workgroup(thread, scan.best, scan.index);
  }
  var mine: RowLoss;
  if (thread == 0u) {
    mine = row_loss(row, total, with_seen(row, labels));
    mine.bad = mine.bad | bad;
    save_row(row, mine, argmax, threshold);
    if (WRITE_GRADIENT) {
      mine = scaled(mine, F(bitcast<f32>(scalars[SCALAR_INVERSE])));
    }
  }
  return share_row(thread, mine);
}
