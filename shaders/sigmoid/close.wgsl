// Rows that are split: the pieces' losses in order. One thread per row.
//
// Dispatch: ceil(N / WG) workgroups for each range of rows, after `rows`.

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
  var loss = 0.0;
  var bad = 0u;
  var best = NEG_MAX;
  var index = 0xffffffffu;
  for (var slot = 0u; slot < window.slots; slot++) {
    let at = (SAVED_EXTRA + slot * SLOT_FIELDS) * window.rows + row;
    loss += bitcast<f32>(saved[at]);
    bad |= saved[at + SLOT_BAD * window.rows];
    if (WANT_ARGMAX) {
      let other = bitcast<f32>(saved[at + SLOT_BEST * window.rows]);
      if (other > best || index == 0xffffffffu) {
        best = other;
        index = saved[at + SLOT_INDEX * window.rows];
      }
    }
  }
  saved[SAVED_LOSS * window.rows + row] = select(bitcast<u32>(loss), window.nan, bad != 0u);
  if (WANT_ARGMAX) {
    saved[SAVED_ARGMAX * window.rows + row] = index;
  }
}
