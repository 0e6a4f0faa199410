// The gradients by biases, learned class scales and the scale, from the sums over the batch.
//
// Dispatch: one workgroup of WG threads.

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var class = thread; class < params.classes; class += WG) {
    let slope = columns[class];
    let along = columns[4u * params.classes + class];
    let factor = class_scale_of(class);
    sum += factor * along;
    if (SCALES_BIAS) {
      write_bias(class, slope * factor);
      write_class_scale(class, params.scale * along + slope * bias_of(class));
    } else {
      write_bias(class, slope);
      write_class_scale(class, params.scale * along);
    }
  }
  let total = sum_over_threads(thread, sum);
  if (thread == 0u) {
    write_scale(total);
  }
}
