// The means of the classes' features from their sums and numbers; 0 for a class without a feature.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for WG elements.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let at = (group.x + group.y * groups.x) * WG + local.x;
  if (at >= params.classes * params.k) {
    return;
  }
  means[at] = sums[at] / f32(max(counts[at / params.k], 1u));
}
