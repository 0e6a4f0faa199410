// The rows' results of the losses of classes and of objectness as one: the sum of the losses, everything else the first
// one's.
//
// Dispatch: ceil(N / WG) workgroups for each window, after both losses' rows.

@group(0) @binding(2) var<storage, read_write> rows_out: array<u32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;
@group(0) @binding(5) var<storage, read> first_rows: array<u32>;
@group(0) @binding(6) var<storage, read> first_saved: array<u32>;
@group(0) @binding(7) var<storage, read> second_saved: array<u32>;

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
  rows_out[FIELD_LABEL * window.rows + row] = first_rows[FIELD_LABEL * window.rows + row];
  let a = bitcast<f32>(first_saved[SAVED_LOSS * window.rows + row]);
  let b = bitcast<f32>(second_saved[SAVED_LOSS * window.rows + row]);
  saved[SAVED_LOSS * window.rows + row] = select(bitcast<u32>(a + b), window.nan, is_nan(a) || is_nan(b));
  for (var field = 1u; field < OUTPUTS; field++) {
    saved[field * window.rows + row] = first_saved[field * window.rows + row];
  }
}
