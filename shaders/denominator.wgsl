// The denominator of reductions that depend on the labels.
//
// Dispatch: one workgroup, between prepare and the row kernel.

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  let thread = local.x;
  let total = sum_over_workgroup(thread, 0u, item_count());
  if (thread == 0u) {
    scalars[SCALAR_INVERSE] = bitcast<u32>(select(0.0, 1.0 / total, total > 0.0));
  }
}
