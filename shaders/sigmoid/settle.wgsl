// One thread per row, after the rows are prepared: the row's weight (settled.wgsl), and the groups that a background row
// was drawn for.
//
// Dispatch: ceil(N / WG) workgroups for each range of rows, between prepare (and draw) and totals, where those have not
// done so themselves.

@group(0) @binding(1) var<storage, read> scalars: array<u32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + local.x;
  if (row >= window.rows) {
    return;
  }
  settle_row(row);
  if (HAS_DRAWS && read_row(FIELD_BACKGROUND, row) != 0.0) {
    var last: array<vec2<u32>, GROUPS>;
    for (var group = 0u; group < GROUPS; group++) {
      last[group] = vec2<u32>(scalars[SCALAR_DRAWN + 2u * group], scalars[SCALAR_DRAWN + 2u * group + 1u]);
    }
    store_drawn(row, last);
  }
}
