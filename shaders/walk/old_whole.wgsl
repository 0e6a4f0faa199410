// What the gradient's buffer holds, a word for each element.
fn old_gradient(i: u32) -> f32 {
  return f32(read_gradient_word(i));
}
