// The reduced loss, and what went wrong (close_batch.wgsl).
//
// Dispatch: one workgroup, after the row kernel.

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  close_batch(local.x);
}
