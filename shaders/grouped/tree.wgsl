// A row with a tree: down for its loss, and up for its gradient.
//
// Dispatch: a workgroup for each row.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let index = linear_workgroup(id, count);
  if (index >= window.rows) {
    return;
  }
  open_tree(thread, index);
  if (STATISTICS) {
    open_row_sums(thread);
  }
  let label = load_row_int(FIELD_LABEL, index);
  let weight = load_row(FIELD_WEIGHT, index);
  let scan = descend(thread, label, weight);
  if (STATISTICS && thread == 0u) {
    save_row(opened_again(), scan, weight);
  }
  if (WRITES) {
    storageBarrier();
    workgroupBarrier();
    ascend(thread, label);
  }
}
