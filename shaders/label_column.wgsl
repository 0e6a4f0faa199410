// The logit of each lane's label, which stands in its row.

fn label_column(row: Row, j: U) -> F {
  return load_logits_at(row.logits, j);
}
