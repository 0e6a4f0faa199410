// The reduced loss and what went wrong (close_batch.wgsl), and beside it what rows add to accumulated gradients
// (column_tree.wgsl), where one window has all rows.
//
// Dispatch: one workgroup and one for each 4 COLUMNS classes, after the row kernel.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let group = linear_workgroup(id, count);
  if (group == 0u) {
    close_batch(local.x);
  } else {
    accumulate_columns(local.x, group - 1u);
  }
}
