// What the product's store adds to each class's column of logits: biases, and what a distance has of the class itself.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for WG classes.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let column = (group.x + group.y * groups.x) * WG + local.x;
  if (column >= params.classes) {
    return;
  }
  var offset = bias_of(column);
  if (DISTANCE) {
    offset -= params.scale * class_square(column);
  }
  if (SCALES_BIAS) {
    offset *= class_scale_of(column);
  }
  class_state[params.class_offsets + column] = offset;
}
