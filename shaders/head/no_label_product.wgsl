// A kernel that asks for no label's logit.

fn label_column(row: Row, j: U) -> F {
  return F(0.0);
}
