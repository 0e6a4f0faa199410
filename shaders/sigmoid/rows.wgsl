// One piece of LANES rows per workgroup: with SUMS their loss, with WRITE_GRADIENT their gradient, each logit read once
// and its gradient written once.
//
// Dispatch: a workgroup for each piece of each group of LANES rows.

// The first and the last element of a row whose word it does not own, for `stitch`.
fn save_edges(row: Row, factor: F) {
  if (row.shift == 1u) {
    let z = load_logits(row.logits, 0u);
    let g = gradient_of(element(row, load_column(0u), 0u, z), z, factor);
    store_saved(SAVED_EDGES, row.rows, gradient_bits_of(g), row.live);
  }
  if (((row.shift + window.classes) & 1u) == 1u) {
    let last = window.classes - 1u;
    let z = load_logits(row.logits, last);
    let g = gradient_of(element(row, load_column(last), last, z), z, factor);
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
  let blocks = blocks_of_piece(row, piece);
  var factor = F(0.0);
  if (WRITE_GRADIENT) {
    factor = row_factor(row);
    // Before anything is written: in place, these are read again later.
    if (GRADIENT_PACKED && piece == 0u && thread == 0u) {
      save_edges(row, factor);
    }
  }
  var loss = F(0.0);
  var scan = new_scan();
  for (var block = blocks.whole_begin; block < blocks.whole_end; block++) {
    let ja = column(row, block, thread, 0u);
    let jb = column(row, block, thread, 1u);
    let jc = column(row, block, thread, 2u);
    let jd = column(row, block, thread, 3u);
    let z = load_block(row, block, thread);
    let a = element(row, load_column(ja), ja, z.a);
    let b = element(row, load_column(jb), jb, z.b);
    let c = element(row, load_column(jc), jc, z.c);
    let d = element(row, load_column(jd), jd, z.d);
    if (SUMS) {
      scan_logit(&scan, z.a, ja);
      scan_logit(&scan, z.b, jb);
      scan_logit(&scan, z.c, jc);
      scan_logit(&scan, z.d, jd);
      loss += (a.loss + b.loss) + (c.loss + d.loss);
    }
    if (WRITE_GRADIENT) {
      store_block(row, block, thread, Quad(
        gradient_of(a, z.a, factor),
        gradient_of(b, z.b, factor),
        gradient_of(c, z.c, factor),
        gradient_of(d, z.d, factor),
      ));
    }
  }
  // Apart from the others, since the first edge lies before them.
  var edges = new_scan();
  if (has_edges(blocks)) {
    for (var step = 0u; step < EDGE_STEPS; step++) {
      let j = edge_column(row, blocks, thread, step);
      var g = array<F, WIDTH>();
      for (var k = 0u; k < WIDTH; k++) {
        let here = clamped(j + k);
        let z = load_logits(row.logits, here);
        let one = element(row, load_column(here), here, z);
        if (SUMS && is_inside(j + k)) {
          scan_logit(&edges, z, here);
          loss += one.loss;
        }
        g[k] = gradient_of(one, z, factor);
      }
      if (WRITE_GRADIENT) {
        store_inside(row, j, g);
      }
    }
  }
  if (SUMS) {
    let out = merged_over_workgroup(thread, loss, merged_scan(scan, edges));
    if (thread == 0u) {
      store_result(row, piece, out);
    }
  }
}
