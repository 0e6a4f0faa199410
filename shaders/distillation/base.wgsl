// A base in the divergence's passes: a softmax loss of the row's labels, whose mass is gathered on the way.

struct Base {
  mass: Mass,
  // The largest u of a class that is no label, without compensation (only with TWO_STEP).
  rest: F,
}

fn no_base() -> Base {
  return Base(no_mass(), F(NEG_MAX));
}

// The labels' v, and where seesaw's compensation begins when they alone decide: known before the row is read.
var<private> base_labels: LabelLogits;
var<private> base_threshold: F;

fn start_base(row: Row) {
  base_labels = label_logits(row);
  base_threshold = own_threshold(base_labels.first);
}

// A class outside of the row counts nothing.
fn visit_inside(row: Row, j: u32, z: F, inside: bool) -> Visit {
  var out = visit(row, j, z, at_label(row, j), base_threshold);
  out.entry.u = select(F(NEG_MAX), out.entry.u, B(inside));
  out.rest = select(F(NEG_MAX), out.rest, B(inside));
  if (HAS_DENSE) {
    out.entry.tau = select(F(0.0), out.entry.tau, B(inside));
  }
  return out;
}

fn base_four(base: ptr<function, Base>, row: Row, j: vec4<u32>, z: Quad, inside: vec4<bool>) {
  let a = visit_inside(row, j.x, z.a, inside.x);
  let b = visit_inside(row, j.y, z.b, inside.y);
  let c = visit_inside(row, j.z, z.c, inside.z);
  let d = visit_inside(row, j.w, z.d, inside.w);
  var mass = (*base).mass;
  add_classes(&mass, a.entry, b.entry, c.entry, d.entry);
  (*base).mass = mass;
  if (TWO_STEP) {
    (*base).rest = max(max(max((*base).rest, a.rest), max(b.rest, c.rest)), d.rest);
  }
}

fn merged_base(a: Base, b: Base) -> Base {
  return Base(merge(a.mass, b.mass), max(a.rest, b.rest));
}

// Seesaw's floor: once the row's raw mass is known, its compensation begins at the threshold, and this thread's columns are
// read again if some class of the row is above it.
fn again_for_base(row: Row, thread: u32, all: Base, mine: ptr<function, Base>) {
  base_threshold = floor_threshold(base_labels.first, settled(all.mass));
  if (any_lane(all.rest > base_threshold)) {
    let blocks = blocks_of_row(row);
    var mass = (*mine).mass;
    compensate(row, thread, blocks.begin, blocks.end, base_threshold, all.rest, &mass);
    (*mine).mass = mass;
  }
}

fn save_by(factor: F, field: u32, row: Row, value: F) {
  store_saved(field, row.rows, bits_of(by_factor(factor, value)), row.live);
}

// The row's loss, and what the gradient needs of it, with the factor and the denominator.
fn close_base(row: Row, base: Base, bad_logits: B) -> Closed {
  let out = row_loss(row, settled(base.mass), with_seen(row, base_labels));
  let bad = out.bad | bad_logits;
  let factor = F(numbers.base_factor * bitcast<f32>(scalars[SCALAR_INVERSE]));
  save_by(factor, SAVED_COEFFICIENT, row, out.coefficient);
  save_by(F(1.0), SAVED_REFERENCE, row, out.reference);
  save_by(factor, SAVED_DENSE, row, out.dense);
  save_by(factor, SAVED_FIRST, row, out.first);
  save_by(factor, SAVED_SECOND, row, out.second);
  if (HAS_COMPENSATION) {
    store_saved(SAVED_THRESHOLD, row.rows, bits_of(base_threshold), row.live);
  }
  return Closed(
    by_factor(F(numbers.base_factor), out.loss),
    select(bits_of(out.log_sum_exp), U(window.nan), bad),
    select(bits_of(out.probability), U(window.nan), bad),
    bad,
  );
}

// The row's part of the reduced loss: each part has its own denominator.
fn save_reduced(row: Row, base_loss: F, divergence: F) {
  let base_inverse = F(bitcast<f32>(scalars[SCALAR_INVERSE]));
  let sum = by_factor(base_inverse, base_loss) + by_factor(F(divergence_inverse()), divergence);
  store_saved(SAVED_REDUCED, row.rows, bits_of(sum), row.live);
}

fn divergence_inverse() -> f32 {
  return select(numbers.inverse, bitcast<f32>(scalars[SCALAR_KEPT]), numbers.by_kept != 0u);
}
