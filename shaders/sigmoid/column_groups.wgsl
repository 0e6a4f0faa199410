// Accumulates gradients of all classes (column_tree.wgsl).
//
// Dispatch: a workgroup for each 4 COLUMNS classes of each window that has rows.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  accumulate_columns(local.x, linear_workgroup(id, count));
}
