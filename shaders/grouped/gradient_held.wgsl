// The gradient of a row where it takes the place of the logits and a column's depends on others: all of it is computed
// before any of it is written. Each thread holds CHIP columns.
//
// Dispatch: a workgroup for each row, after its statistics; CHIP * WG >= W + shift.

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let index = linear_workgroup(id, count);
  if (index >= window.rows) {
    return;
  }
  let row = open_row(index);
  let factor = row_factor(row);
  var held: array<F, CHIP>;
  for (var i = 0u; i < CHIP; i++) {
    let j = column(row, i / 4u, thread, i % 4u);
    if (is_inside(j)) {
      held[i] = column_gradient(row, factor, j, load_logit(row.logits + j));
    }
  }
  if (thread == 0u) {
    save_edges(row, factor);
  }
  storageBarrier();
  workgroupBarrier();
  for (var i = 0u; i < CHIP; i += 4u) {
    if (i / 4u * BLOCK < window.classes + row.shift) {
      store_edge(row, i / 4u, thread, Quad(held[i], held[i + 1u], held[i + 2u], held[i + 3u]));
    }
  }
}
