// What is asked of each lane's row: one lane.

fn row_factors(rows: U) -> F {
  return late_a(rows);
}

fn row_lengths(rows: U) -> F {
  return row_length(rows);
}

fn with_margins(similarity: F) -> F {
  return margin_of(similarity);
}
