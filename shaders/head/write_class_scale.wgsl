// The gradient by a class's learned scale is asked for.

fn write_class_scale(column: u32, value: f32) {
  class_scale_gradient[column] = value;
}
