// One thread per row, hard labels. Also, once, what start_pass does; with REFRESHES, where there is one window, one thread
// per class: the weights of accumulated gradients.
//
// Dispatch: ceil(N / WG) workgroups for each window, with REFRESHES ceil(max(N, K) / WG), before every pass.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + local.x;
  if (row == 0u && (window.flags & FLAG_FIRST_WINDOW) != 0u) {
    start_pass();
  }
  if (REFRESHES && row < window.classes) {
    refresh_class(row);
  }
  if (row < window.rows) {
    prepare_row(row);
  }
}
