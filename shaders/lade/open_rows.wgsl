// The rows' results where nobody asks for the largest logit: the losses are 0, since the regulariser has one for the whole
// batch, or NaN for a label out of range. One thread per row.
//
// Dispatch: ceil(N / WG) workgroups for each range of rows.

@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;

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
  let bad = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]) == LABEL_BAD;
  saved[SAVED_LOSS * window.rows + row] = select(0u, window.nan, bad);
  saved[SAVED_LOG_SUM_EXP * window.rows + row] = window.nan;
  saved[SAVED_PROBABILITY * window.rows + row] = window.nan;
  saved[SAVED_ARGMAX * window.rows + row] = 0u;
}
