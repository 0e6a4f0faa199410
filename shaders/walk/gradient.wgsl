// The gradient of one piece of a row per workgroup: each logit is read once more, its gradient written, or with ADDS
// added to what is there. Needs open_terms(row), element_gradient(row, j, z) and block_gradient(row, block, thread, z) of
// the family (or each.wgsl for the last one), and one of old_*.wgsl.
//
// Dispatch: a workgroup for each piece of each row.

fn with_old(row: Row, j: u32, g: F) -> F {
  if (ADDS) {
    return g + old_gradients(row.gradient, j);
  }
  return g;
}

fn written(row: Row, j: u32) -> F {
  return with_old(row, j, element_gradient(row, j, load_logits(row.logits, j)));
}

fn walk_gradient(row: Row, thread: u32, blocks: Blocks) {
  for (var block = blocks.whole_begin; block < blocks.whole_end; block++) {
    let g = block_gradient(row, block, thread, load_block(row, block, thread));
    store_block(row, block, thread, Quad(
      with_old(row, column(row, block, thread, 0u), g.a),
      with_old(row, column(row, block, thread, 1u), g.b),
      with_old(row, column(row, block, thread, 2u), g.c),
      with_old(row, column(row, block, thread, 3u), g.d),
    ));
  }
  if (has_edges(blocks)) {
    for (var step = 0u; step < EDGE_STEPS; step++) {
      let j = edge_column(row, blocks, thread, step);
      var g = array<F, WIDTH>();
      for (var k = 0u; k < WIDTH; k++) {
        g[k] = written(row, clamped(j + k));
      }
      store_inside(row, j, g);
    }
  }
}

// The first and the last element of a row whose word it does not own, for `stitch`.
fn save_edges(row: Row) {
  if (!GRADIENT_PACKED) {
    return;
  }
  if (row.shift == 1u) {
    let g = written(row, 0u);
    store_saved(SAVED_EDGES, row.rows, gradient_bits_of(g), row.live);
  }
  if (((row.shift + window.classes) & 1u) == 1u) {
    let last = window.classes - 1u;
    let g = written(row, last);
    store_saved(SAVED_EDGES + 1u, row.rows, gradient_bits_of(g), row.live);
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let index = linear_workgroup(id, count);
  let group = index / window.pieces;
  let piece = index % window.pieces;
  if (!is_group(group)) {
    return;
  }
  let row = open_row(group);
  open_terms(row);
  walk_gradient(row, thread, blocks_of_piece(row, piece));
  if (piece == 0u && thread == 0u) {
    save_edges(row);
  }
}
