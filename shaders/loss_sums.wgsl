// The reduced loss of many rows, one workgroup for each SUM_ITEMS of them.
//
// Dispatch: ceil(N / SUM_ITEMS) workgroups for each window, between the row kernel and finish.

@group(0) @binding(9) var<storage, read_write> sums: array<u32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let group = linear_workgroup(id, count);
  let begin = group * SUM_ITEMS;
  if (begin >= item_count()) {
    return;
  }
  let sum = sum_over_workgroup(thread, begin, min(begin + SUM_ITEMS, item_count()));
  if (thread == 0u) {
    let at = (window.first_sum + group) * SUM_WORDS;
    sums[at] = bitcast<u32>(sum.loss);
    sums[at + 1u] = sum.labels.count;
    sums[at + 2u] = sum.labels.first;
    sums[at + 3u] = sum.rows.count;
    sums[at + 4u] = sum.rows.first;
  }
}
