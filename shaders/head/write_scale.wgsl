// The gradient by the head's scale is asked for.

fn write_scale(value: f32) {
  scale_gradient[0] = value;
}
