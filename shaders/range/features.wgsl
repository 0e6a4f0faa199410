// Distances of features and of centres.

fn feature(row: u32, j: u32) -> f32 {
  return load_logit(window.logits_origin + row * window.logits_stride + j);
}

fn centre(first: u32, j: u32) -> f32 {
  var sum = 0.0;
  var row = first;
  let size = held(SAVED_SIZE, first);
  for (var step = 0u; step < size; step++) {
    sum += feature(row, j);
    row = held(SAVED_NEXT_ROW, row);
  }
  return sum / f32(size);
}
