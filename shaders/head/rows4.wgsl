// What is asked of each lane's row: four lanes.

fn row_factors(rows: U) -> F {
  return F(late_a(rows.x), late_a(rows.y), late_a(rows.z), late_a(rows.w));
}

fn row_lengths(rows: U) -> F {
  return F(row_length(rows.x), row_length(rows.y), row_length(rows.z), row_length(rows.w));
}

fn with_margins(similarity: F) -> F {
  return F(margin_of(similarity.x), margin_of(similarity.y), margin_of(similarity.z), margin_of(similarity.w));
}
