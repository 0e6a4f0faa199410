// The pass that writes the gradient: each logit is read again. Also a row's edges in a packed gradient.

fn class_gradient(row: Row, out: RowLoss, j: u32, z: F, at: AtLabel, threshold: F) -> F {
  let term = load_class(j);
  let u = compensated(kept_logit(row, term, j, z, at), threshold);
  var g = gradient_z(row, out, j, u, class_factor(row, term), term.weight, at);
  if (HAS_CLASS_SCALE) {
    g *= term.class_scale;
  }
  return with_column_term(j, z, g);
}

fn gradient_pass(row: Row, thread: u32, blocks: Blocks, out: RowLoss, threshold: F) {
  for (var block = blocks.whole_begin; block < blocks.whole_end; block++) {
    let z = load_block(row, block, thread);
    let ja = column(row, block, thread, 0u);
    let jb = column(row, block, thread, 1u);
    let jc = column(row, block, thread, 2u);
    let jd = column(row, block, thread, 3u);
    let ahead = labels_from(row, ja);
    var g: Quad;
    if (has_label_near(ahead)) {
      g.a = class_gradient(row, out, ja, z.a, at_label_of(ahead, 0u), threshold);
      g.b = class_gradient(row, out, jb, z.b, at_label_of(ahead, column_offset(1u)), threshold);
      g.c = class_gradient(row, out, jc, z.c, at_label_of(ahead, column_offset(2u)), threshold);
      g.d = class_gradient(row, out, jd, z.d, at_label_of(ahead, column_offset(3u)), threshold);
    } else {
      g.a = class_gradient(row, out, ja, z.a, no_label(), threshold);
      g.b = class_gradient(row, out, jb, z.b, no_label(), threshold);
      g.c = class_gradient(row, out, jc, z.c, no_label(), threshold);
      g.d = class_gradient(row, out, jd, z.d, no_label(), threshold);
    }
    store_block(row, block, thread, g);
  }
  if (has_edges(blocks)) {
    for (var step = 0u; step < EDGE_STEPS; step++) {
      let j = edge_column(row, blocks, thread, step);
      var g = array<F, WIDTH>();
      for (var k = 0u; k < WIDTH; k++) {
        let here = clamped(j + k);
        g[k] = class_gradient(row, out, here, load_logits(row.logits, here), at_label(row, here), threshold);
      }
      store_inside(row, j, g);
    }
  }
}

// The first and the last element of a row whose word it does not own, for `stitch`. One thread per row does this.
fn save_edges(row: Row, out: RowLoss, threshold: F) {
  if (!GRADIENT_PACKED) {
    return;
  }
  if (row.shift == 1u) {
    let g = class_gradient(row, out, 0u, load_logits(row.logits, 0u), at_label(row, 0u), threshold);
    store_saved(SAVED_EDGES, row.rows, gradient_bits_of(g), row.live);
  }
  if (((row.shift + window.classes) & 1u) == 1u) {
    let last = window.classes - 1u;
    let g = class_gradient(row, out, last, load_logits(row.logits, last), at_label(row, last), threshold);
    store_saved(SAVED_EDGES + 1u, row.rows, gradient_bits_of(g), row.live);
  }
}
