// What the gradients of four rows hold.
fn old_gradients(base: U, j: u32) -> F {
  return F(old_gradient(base.x + j), old_gradient(base.y + j), old_gradient(base.z + j), old_gradient(base.w + j));
}
