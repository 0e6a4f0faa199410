// Where seesaw's compensation begins in rows that are split: with a floor from the merged raw mass, else from the
// label alone. One workgroup per row.
//
// Dispatch: N workgroups, between the two passes of `partial`.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let row = linear_workgroup(id, count);
  if (row >= window.rows) {
    return;
  }
  let v = saved_label_logits(row).first;
  var threshold = own_threshold(v);
  if (TWO_STEP) {
    let total = merge_over_workgroup(thread, mass_of_slots(thread, row));
    threshold = floor_threshold(v, total);
  }
  if (thread == 0u) {
    store_saved(SAVED_THRESHOLD, row, bits_of(threshold), true);
  }
}
