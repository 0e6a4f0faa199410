// The base's part of the gradient, from the coefficients that the rows' kernel left.

var<private> base: RowLoss;

fn open_base(row: Row, upstream: F) {
  base = scaled(load_coefficients(row), upstream);
}

fn base_gradient(row: Row, j: u32, z: F) -> F {
  let term = load_class(j);
  let u = adjusted(z, F(term.class_scale), F(term.bias));
  let g = gradient_z(row, base, j, u, F(1.0), term.weight, at_label(row, j));
  if (HAS_CLASS_SCALE) {
    return term.class_scale * g;
  }
  return g;
}
