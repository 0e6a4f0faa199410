// Seesaw's second look at columns whose largest u is known.

// Adds what compensation adds to the classes of one stretch of blocks above the threshold; tile_top is the largest u there.
fn compensate(row: Row, thread: u32, begin: u32, end: u32, threshold: F, tile_top: F, mass: ptr<function, Mass>) {
  let top = max((*mass).max, compensated(tile_top, threshold));
  raise(mass, top);
  var sum = F(0.0);
  var cross = F(0.0);
  for (var i = 4u * begin; i < 4u * end; i++) {
    let j = column(row, i >> 2u, thread, i & 3u);
    if (is_inside(j)) {
      let term = load_class(j);
      let at = at_label(row, j);
      let raw = kept_logit(row, term, j, load_logits(row.logits, j), at);
      let u = compensated(raw, threshold);
      let factor = select(class_factor(row, term), F(0.0), is_label(at));
      sum += factor * (exp_scaled(u - top) - exp_scaled(raw - top));
      if (HAS_DENSE) {
        let tau = select(dense_target(row.dense, j, term.weight), F(0.0), is_label(at));
        cross += weighted(tau, select(spec.scale * (u - raw), F(0.0), raw <= F(NEG_MAX)));
      }
    }
  }
  (*mass).sum += sum;
  (*mass).cross -= cross;
}
