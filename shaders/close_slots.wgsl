// From a row's slots to its result. One workgroup per row.
//
// Dispatch: N workgroups, after the last pass of `partial`.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let group = linear_workgroup(id, count);
  if (!is_group(group)) {
    return;
  }
  let row = open_row(group);
  let total = merge_over_workgroup(thread, mass_of_slots(thread, row.rows));
  let scan = scan_of_slots(thread, row.rows);
  let bad = any_over_workgroup(thread, has_bad_logit(scan));
  var argmax = 0u;
  if (WANT_ARGMAX) {
    argmax = argmax_over_workgroup(thread, scan.best, scan.index);
  }
  if (thread == 0u) {
    var mine = row_loss(row, total, saved_label_logits(row.rows));
    mine.bad = mine.bad | bad;
    save_outputs(row, mine, argmax);
    save_coefficients(row, mine, float_of_bits(load_saved(SAVED_THRESHOLD, row.rows)));
  }
}
