// The gradients by biases, learned class scales and the scale, from the sums over the batch; the last adds up over the
// ranges of classes.
//
// Dispatch: one workgroup of WG threads.

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  let thread = local.x;
  var sum = 0.0;
  for (var column = thread; column < params.classes; column += WG) {
    let slope = columns[column];
    let along = columns[3u * params.classes + column];
    let factor = class_scale_of(column);
    sum += factor * along;
    if (SCALES_BIAS) {
      write_bias(column, slope * factor);
      write_class_scale(column, params.scale * along + slope * bias_of(column));
    } else {
      write_bias(column, slope);
      write_class_scale(column, params.scale * along);
    }
  }
  let total = sum_over_threads(thread, sum);
  if (thread == 0u) {
    write_scale(total);
  }
}
