// A row of weights: the sums over the batch that columns.wgsl has left, and what the gradients of the scales need, the
// sum of gradient times similarity, to columns[4 classes + class].

struct RowTerms {
  multiplier: f32,
  own: f32,
}

fn row_terms(row: u32) -> RowTerms {
  let scale = params.scale * class_scale_of(row);
  if (DISTANCE) {
    return RowTerms(2.0 * scale, 2.0 * scale * columns[params.classes + row]);
  }
  return RowTerms(scale, 0.0);
}

fn square_of_part(index: u32) -> f32 {
  return class_state[index];
}

fn close_row(row: u32, total: f32) {
  var sum = total;
  if (DISTANCE) {
    sum = 2.0 * total - class_square(row) * columns[params.classes + row] - columns[2u * params.classes + row];
  }
  if (HAS_COLUMNS) {
    sum += columns[3u * params.classes + row];
  }
  columns[4u * params.classes + row] = sum;
}
