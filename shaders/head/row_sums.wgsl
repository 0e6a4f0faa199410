// The sum over some classes of each row's gradient by similarities, times the learned scales, added to that of the classes
// before: what a distance has of the row itself.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for each row of the chunk.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let thread = local.x;
  let row = group.x + group.y * groups.x;
  if (row >= params.tiles) {
    return;
  }
  let line = row * params.logits_stride;
  var sum = 0.0;
  for (var column = thread; column < params.classes; column += WG) {
    sum += logits[line + column] * class_scale_of(column);
  }
  let total = sum_over_threads(thread, sum);
  if (thread == 0u) {
    let at = params.row_sums + params.first_row + row;
    if (params.accumulate != 0u) {
      row_state[at] += total;
    } else {
      row_state[at] = total;
    }
  }
}
