// Items of the reduced loss: with it, what went wrong. Rows with a label out of range, rows whose loss is NaN, each as a
// count and the first of them.

struct Noted {
  count: u32,
  first: u32,
}

struct Sum {
  loss: f32,
  labels: Noted,
  rows: Noted,
}

fn noted(row: u32, yes: bool) -> Noted {
  return Noted(select(0u, 1u, yes), select(0xffffffffu, row, yes));
}

fn both(a: Noted, b: Noted) -> Noted {
  return Noted(a.count + b.count, min(a.first, b.first));
}

fn no_sum() -> Sum {
  return Sum(0.0, noted(0u, false), noted(0u, false));
}

fn added(a: Sum, b: Sum) -> Sum {
  return Sum(a.loss + b.loss, both(a.labels, b.labels), both(a.rows, b.rows));
}
