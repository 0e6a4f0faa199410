// A base in the divergence's passes: a softmax loss of the row's labels, whose mass is gathered on the way.

alias Base = Mass;

fn no_base() -> Base {
  return no_mass();
}

// The labels' own columns come at the end.
fn base_entry(row: Row, j: u32, z: F, inside: bool) -> Entry {
  let term = load_class(j);
  let out = is_label(at_label(row, j)) | B(!inside);
  var tau = F(0.0);
  if (HAS_DENSE) {
    tau = select(dense_target(row.dense, j, term.weight), F(0.0), out);
  }
  return Entry(select(adjusted(z, F(term.class_scale), F(term.bias)), F(NEG_MAX), out), F(1.0), tau);
}

fn base_four(base: ptr<function, Base>, row: Row, j: vec4<u32>, z: Quad, inside: vec4<bool>) {
  add_classes(
    base,
    base_entry(row, j.x, z.a, inside.x),
    base_entry(row, j.y, z.b, inside.y),
    base_entry(row, j.z, z.c, inside.z),
    base_entry(row, j.w, z.d, inside.w),
  );
}

fn merged_base(a: Base, b: Base) -> Base {
  return merge(a, b);
}

fn save_by(factor: F, field: u32, row: Row, value: F) {
  store_saved(field, row.rows, bits_of(by_factor(factor, value)), row.live);
}

// The row's loss, and what the gradient needs of it, with the factor and the denominator.
fn close_base(row: Row, base: Base, bad_logits: B) -> Closed {
  let out = row_loss(row, settled(base), with_seen(row, label_logits(row)));
  let bad = out.bad | bad_logits;
  let factor = F(numbers.base_factor * bitcast<f32>(scalars[SCALAR_INVERSE]));
  save_by(factor, SAVED_COEFFICIENT, row, out.coefficient);
  save_by(F(1.0), SAVED_REFERENCE, row, out.reference);
  save_by(factor, SAVED_DENSE, row, out.dense);
  save_by(factor, SAVED_FIRST, row, out.first);
  save_by(factor, SAVED_SECOND, row, out.second);
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
