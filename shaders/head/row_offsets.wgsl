// What the product's store adds to each row of logits: what a distance has of the features themselves.
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
  row_state[params.row_offsets + row] = -(params.scale * row_square(row));
}
