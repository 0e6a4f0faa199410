// A kernel over the rows alone, for what concerns the one column of each row that is its label's.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for WG rows of the chunk.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let index = (group.x + group.y * groups.x) * WG + local.x;
  if (index >= params.m) {
    return;
  }
  let row = params.first_row + index;
  let column = label_column(row);
  if (column >= params.classes) {
    return;
  }
  let at = index * params.logits_stride + column;
  logits[at] = at_label(row, column, logits[at]);
}
