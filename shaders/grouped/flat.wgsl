// A row without a tree: its loss, then its gradient.
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
  keep_group(thread, index);
  if (STATISTICS) {
    open_row_sums(thread);
  }
  workgroupBarrier();
  if (STATISTICS) {
    let label = load_row_int(FIELD_LABEL, index);
    let weight = load_row(FIELD_WEIGHT, index);
    let scan = statistics(thread, label, weight);
    if (thread == 0u) {
      save_row(opened_again(), scan, weight);
    }
    storageBarrier();
    workgroupBarrier();
  }
  if (WRITES) {
    gradient_of_row(opened_again(), thread);
  }
}
