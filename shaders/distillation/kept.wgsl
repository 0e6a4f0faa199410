// One by the number of rows that count, beside the base's denominator.
//
// Dispatch: one workgroup, between prepare and the rows' kernel.

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  let thread = local.x;
  let total = sum_over_workgroup(thread, 0u, item_count());
  if (thread == 0u) {
    scalars[SCALAR_KEPT] = bitcast<u32>(select(0.0, 1.0 / total, total > 0.0));
  }
}
