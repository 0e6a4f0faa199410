// A row of features has its scales from the product, and the distance adds the row itself, times the sum of its gradient.

struct RowTerms {
  multiplier: f32,
  own: f32,
}

fn row_terms(row: u32) -> RowTerms {
  return RowTerms(1.0, 2.0 * params.scale * row_state[params.row_sums + params.first_row + row]);
}

// The part of a chunk's row among those of the batch.
fn square_of_part(index: u32) -> f32 {
  return row_state[params.first_row * params.a_parts + index];
}

fn close_row(row: u32, total: f32) {
}
