// The class table as it is bound for every kernel.
fn class_value(column: u32, j: u32) -> f32 {
  return classes[column * window.classes + j];
}
