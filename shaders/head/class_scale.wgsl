// Each class has a learned scale.

fn class_scale_of(column: u32) -> f32 {
  return class_scale[column];
}
