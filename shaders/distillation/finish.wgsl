// The reduced loss, and what went wrong. The denominators are in the rows' parts.
//
// Dispatch: one workgroup, after the rows' kernel.

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  let thread = local.x;
  let sum = sum_over_workgroup(thread, 0u, item_count());
  if (thread == 0u) {
    let failed = sum.labels.count + sum.rows.count > 0u;
    scalars[SCALAR_LOSS] = select(bitcast<u32>(sum.loss), window.nan, failed);
    scalars[SCALAR_BAD_LABELS] = sum.labels.count;
    scalars[SCALAR_FIRST_BAD_LABEL] = sum.labels.first;
    scalars[SCALAR_BAD_ROWS] = sum.rows.count;
    scalars[SCALAR_FIRST_BAD_ROW] = sum.rows.first;
  }
}
