// Each class has a learned scale.

fn class_scale_of(class: u32) -> f32 {
  return class_scale[class];
}
