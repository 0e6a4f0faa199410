// From the product of normalised rows to the logit. `row` is one of the batch.

fn similarity_of(row: u32, column: u32, product: f32) -> f32 {
  if (DISTANCE) {
    return 2.0 * product - row_square(row) - class_square(column);
  }
  return product;
}

fn logit_of(column: u32, similarity: f32) -> f32 {
  let scaled = params.scale * similarity;
  if (SCALES_BIAS) {
    return class_scale_of(column) * (scaled + bias_of(column));
  }
  return class_scale_of(column) * scaled + bias_of(column);
}
