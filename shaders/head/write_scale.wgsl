// The gradient by the head's scale is asked for.

fn write_scale(value: f32) {
  if (params.accumulate != 0u) {
    scale_gradient[0] += value;
  } else {
    scale_gradient[0] = value;
  }
}
