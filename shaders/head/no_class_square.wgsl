// Nothing asks for the weights' norms.

fn class_square(class: u32) -> f32 {
  return 0.0;
}
