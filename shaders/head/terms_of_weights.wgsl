// A row of weights: the sums over the batch that the product or columns.wgsl has left, and what the gradients of the scales need, the
// sum of gradient times similarity, to columns[3 classes + class].

struct RowTerms {
  multiplier: f32,
  own: f32,
}

fn row_terms(row: u32) -> RowTerms {
  let scale = params.scale * class_scale_of(row);
  if (DISTANCE) {
    return RowTerms(2.0 * scale, 2.0 * scale * columns[row]);
  }
  return RowTerms(scale, 0.0);
}

fn close_row(row: u32, total: f32) {
  var sum = total;
  if (HAS_COLUMNS) {
    if (DISTANCE) {
      sum = 2.0 * total - class_square(row) * columns[row] - columns[params.classes + row];
    }
    sum += columns[2u * params.classes + row];
  }
  columns[3u * params.classes + row] = sum;
}
