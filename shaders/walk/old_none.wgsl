// A gradient that takes the place of what is there.
fn old_gradient(i: u32) -> f32 {
  return 0.0;
}
