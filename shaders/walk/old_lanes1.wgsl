// What the gradient of one row holds.
fn old_gradients(base: U, j: u32) -> F {
  return old_gradient(base + j);
}
