// A gradient without a base's part.

fn open_base(row: Row, upstream: F) {
}

fn base_gradient(row: Row, j: u32, z: F) -> F {
  return F(0.0);
}
