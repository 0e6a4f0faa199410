// The gradient of a row without a tree, column by column: each logit of a segment that its label takes part in is read again,
// and every gradient written. Between those segments it is 0.

// The next slot of a row that lies in a segment, from a slot on.
struct Run {
  slot: u32,
  begin: u32,
  end: u32,
  held: Held,
}

fn run_from(row: Row, first: u32) -> Run {
  for (var slot = first; slot < spec.slots; slot++) {
    let segment = load_saved(saved_slot(slot, SLOT_SEGMENT), row.rows);
    if (segment != NONE) {
      return Run(slot, segment_start(segment), segment_start(segment + 1u), held_in(row, slot));
    }
  }
  return Run(spec.slots, window.classes, window.classes, Held(NONE, NONE, 0.0, 0.0, 0.0));
}

// Four columns of a block that ends before column `end`, which may lie in several runs or in none. Leaves the last run that
// it has looked at.
fn mixed_gradient(row: Row, factor: f32, run: ptr<function, Run>, end: u32, j: vec4<u32>, z: Quad) -> Quad {
  var g = vec4<f32>(select(0.0, factor, is_nan(factor)));
  while ((*run).slot < spec.slots && (*run).begin < end) {
    let here = (j >= vec4<u32>((*run).begin)) & (j < vec4<u32>((*run).end));
    let held = (*run).held;
    let own = vec4<f32>(
      held_gradient(factor, held, j.x, z.a),
      held_gradient(factor, held, j.y, z.b),
      held_gradient(factor, held, j.z, z.c),
      held_gradient(factor, held, j.w, z.d),
    );
    g = select(g, own, here);
    if ((*run).end >= end) {
      break;
    }
    *run = run_from(row, (*run).slot + 1u);
  }
  return Quad(g.x, g.y, g.z, g.w);
}

fn gradient_of_row(row: Row, thread: u32) {
  let factor = row_factor(row);
  let nothing = select(0.0, factor, is_nan(factor));
  let blocks = blocks_of_piece(row, 0u);
  var run = run_from(row, 0u);
  var block = blocks.whole_begin;
  while (block < blocks.whole_end) {
    let first = block * BLOCK - row.shift;
    if (run.slot < spec.slots && run.end <= first) {
      run = run_from(row, run.slot + 1u);
      continue;
    }
    // The blocks from here on that lie as a whole in the run's segment, or before it.
    let inside = run.begin <= first;
    let end = min(blocks.whole_end, (select(run.begin, run.end, inside) + row.shift) / BLOCK);
    let mixed = end <= block;
    for (; inside && block < end; block++) {
      let z = load_block(row, block, thread);
      store_block(row, block, thread, Quad(
        held_gradient(factor, run.held, column(row, block, thread, 0u), z.a),
        held_gradient(factor, run.held, column(row, block, thread, 1u), z.b),
        held_gradient(factor, run.held, column(row, block, thread, 2u), z.c),
        held_gradient(factor, run.held, column(row, block, thread, 3u), z.d),
      ));
    }
    for (; block < end; block++) {
      store_block(row, block, thread, Quad(nothing, nothing, nothing, nothing));
    }
    if (mixed) {
      let j = vec4<u32>(
        column(row, block, thread, 0u),
        column(row, block, thread, 1u),
        column(row, block, thread, 2u),
        column(row, block, thread, 3u),
      );
      store_block(row, block, thread, mixed_gradient(row, factor, &run, first + BLOCK, j, load_block(row, block, thread)));
      block++;
    }
  }
  // The row's ends: the last one begins where the runs have got to.
  for (var which = 0u; which < WIDTH; which++) {
    let edge = edge_block(blocks, WIDTH - 1u - which);
    if (edge != NO_BLOCK) {
      if (which > 0u) {
        run = run_from(row, 0u);
      }
      let j = vec4<u32>(
        column(row, edge, thread, 0u),
        column(row, edge, thread, 1u),
        column(row, edge, thread, 2u),
        column(row, edge, thread, 3u),
      );
      let end = (edge + 1u) * BLOCK - row.shift;
      store_edge(row, edge, thread, mixed_gradient(row, factor, &run, end, j, load_edge(row, edge, thread)));
    }
  }
  // Those elements are in no word that this kernel writes.
  if (thread == 0u) {
    save_edges(row, factor);
  }
}
