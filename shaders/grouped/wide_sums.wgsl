// The derivative of the tree's loss by a column that many leaves are below: a sum over them, by a workgroup.
//
// Dispatch: a workgroup for each such column of each row, between the statistics and the gradient.

var<workgroup> tree_slopes: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let index = linear_workgroup(id, count);
  if (index >= window.rows * spec.wide_columns) {
    return;
  }
  let row = open_row(index / spec.wide_columns);
  let number = index % spec.wide_columns;
  let run = spec.runs + 2u * tables[spec.wide + number];
  let end = tables[run + 1u];
  var sum = 0.0;
  if (row.label >= 0) {
    for (var place = tables[run] + thread; place < end; place += WG) {
      sum += leaf_slope(row, place);
    }
  }
  tree_slopes[thread] = sum;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_slopes[thread] += tree_slopes[thread + half];
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    store_saved(saved_wide(number), row.rows, bitcast<u32>(tree_slopes[0]), row.live);
  }
}
