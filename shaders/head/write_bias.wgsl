// The gradient by a class's bias is asked for.

fn write_bias(column: u32, value: f32) {
  bias_gradient[column] = value;
}
