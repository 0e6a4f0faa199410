// The gradient of a row with a tree, column by column, apart from the logits. A column is much code, of which there is one
// copy.
//
// Dispatch: a workgroup for each row, after its statistics.

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
  for (var block = 0u; block * BLOCK < window.classes + row.shift; block++) {
    var g = array<F, 4>();
    for (var k = 0u; k < 4u; k++) {
      let j = column(row, block, thread, k);
      if (is_inside(j)) {
        g[k] = column_gradient(row, factor, j, load_logit(row.logits + j));
      }
    }
    store_edge(row, block, thread, Quad(g[0], g[1], g[2], g[3]));
  }
  if (thread == 0u) {
    save_edges(row, factor);
  }
}
