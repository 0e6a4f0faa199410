// The weights that accumulated gradients give (refreshed.wgsl), one thread per class.
//
// Dispatch: ceil(K / WG) workgroups for each range of classes, where `prepare` does not do so.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let j = linear_workgroup(id, count) * WG + local.x;
  if (j < window.classes) {
    refresh_class(j);
  }
}
