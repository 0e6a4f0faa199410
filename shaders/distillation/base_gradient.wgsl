// The base's part of the gradient, from the coefficients that the rows' kernel left.

var<private> base: RowLoss;
var<private> base_threshold: F;

fn open_base(row: Row, upstream: F) {
  base = scaled(load_coefficients(row), upstream);
  if (HAS_COMPENSATION) {
    base_threshold = float_of_bits(load_saved(SAVED_THRESHOLD, row.rows));
  }
}

fn base_gradient(row: Row, j: u32, z: F) -> F {
  let term = load_class(j);
  let at = at_label(row, j);
  let u = compensated(kept_logit(row, term, j, z, at), base_threshold);
  let g = gradient_z(row, base, j, u, class_factor(row, term), term.weight, at);
  if (HAS_CLASS_SCALE) {
    return term.class_scale * g;
  }
  return g;
}
