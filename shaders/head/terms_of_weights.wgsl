// A row of weights: the sums over the batch that the product or columns.wgsl has left, and what the gradients of the scales need, the
// sum of gradient times similarity, to columns[4 classes + class].

// Where the sums of the gradient by similarities are: those of a product where columns.wgsl has not run.
const SLOPES: u32 = select(0u, 1u, HAS_COLUMNS);

struct RowTerms {
  multiplier: f32,
  own: f32,
}

fn row_terms(row: u32) -> RowTerms {
  let scale = params.scale * class_scale_of(row);
  if (DISTANCE) {
    return RowTerms(2.0 * scale, 2.0 * scale * columns[SLOPES * params.classes + row]);
  }
  return RowTerms(scale, 0.0);
}

fn close_row(row: u32, total: f32) {
  var sum = total;
  if (HAS_COLUMNS) {
    if (DISTANCE) {
      sum = 2.0 * total - class_square(row) * columns[params.classes + row] - columns[2u * params.classes + row];
    }
    sum += columns[3u * params.classes + row];
  }
  columns[4u * params.classes + row] = sum;
}
