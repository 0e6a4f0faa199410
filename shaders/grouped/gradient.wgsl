// The gradient of a row without a tree, column by column: each logit is read again and its gradient written.
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
  let blocks = blocks_of_piece(row, 0u);
  var block = blocks.whole_begin;
  while (block < blocks.whole_end) {
    // The blocks from here on that lie in one segment as a whole share what a segment has.
    let segment = segment_of(block * BLOCK - row.shift);
    let run_end = min(blocks.whole_end, (segment_start(segment + 1u) + row.shift) / BLOCK);
    let mixed = run_end <= block;
    let held = held_at(row, segment);
    for (; block < run_end; block++) {
      let z = load_block(row, block, thread);
      store_block(row, block, thread, Quad(
        held_gradient(row, factor, held, column(row, block, thread, 0u), z.a),
        held_gradient(row, factor, held, column(row, block, thread, 1u), z.b),
        held_gradient(row, factor, held, column(row, block, thread, 2u), z.c),
        held_gradient(row, factor, held, column(row, block, thread, 3u), z.d),
      ));
    }
    if (mixed) {
      let z = load_block(row, block, thread);
      var g = array<F, 4>(z.a, z.b, z.c, z.d);
      for (var k = 0u; k < 4u; k++) {
        g[k] = column_gradient(row, factor, column(row, block, thread, k), g[k]);
      }
      store_block(row, block, thread, Quad(g[0], g[1], g[2], g[3]));
      block++;
    }
  }
  for (var step = 0u; step < EDGE_STEPS; step++) {
    let j = edge_column(row, blocks, thread, step);
    var g = array<F, WIDTH>();
    for (var k = 0u; k < WIDTH; k++) {
      let here = clamped(j + k);
      g[k] = column_gradient(row, factor, here, load_logit(row.logits + here));
    }
    store_inside(row, j, g);
  }
  // Those elements are in no word that this kernel writes.
  if (thread == 0u) {
    save_edges(row, factor);
  }
}
