// A class as a pass over a row's columns sees it.
struct Visit {
  entry: Entry,
  rest: F,  // u without compensation, NEG_MAX for the row's labels
}

fn visit(row: Row, j: u32, z: F, at: AtLabel, threshold: F) -> Visit {
  var out: Visit;
  let term = load_class(j);
  let label = is_label(at);
  let u = kept_logit(row, term, j, z, at);
  out.rest = select(u, F(NEG_MAX), label);
  if (TWO_STEP) {
    // Raw mass counts the labels too.
    out.entry.u = u;
    out.entry.factor = select(class_factor(row, term), F(0.0), label);
  } else {
    out.entry.u = select(compensated(u, threshold), F(NEG_MAX), label);
    out.entry.factor = class_factor(row, term);
  }
  if (HAS_DENSE) {
    out.entry.tau = select(dense_target(row.dense, j, term.weight), F(0.0), label);
  }
  return out;
}
