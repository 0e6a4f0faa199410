// The factors of the weights' parts times their classes' learned scales: with them the features' gradient is a product.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for WG parts.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let part = (group.x + group.y * groups.x) * WG + local.x;
  if (part >= params.classes * params.a_parts) {
    return;
  }
  class_state[params.class_scaled + part] =
    factor_of_part(part) * class_scale_of(part / params.a_parts);
}
