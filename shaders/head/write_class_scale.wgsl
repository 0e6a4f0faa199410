// The gradient by a class's learned scale is asked for.

fn write_class_scale(class: u32, value: f32) {
  class_scale_gradient[class] = value;
}
