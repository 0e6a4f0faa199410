// The denominator's sums of many rows, one workgroup for each SUM_ITEMS of them.
//
// Dispatch: ceil(N / SUM_ITEMS) workgroups for each window, between prepare and denominator.

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
    sums[(window.first_sum + group) * SUM_WORDS] = bitcast<u32>(sum);
  }
}
