// A class as a pass over a row's columns sees it.
struct Visit {
  entry: Entry,
  rest: F,  // v, NEG_MAX for the row's labels
}

fn visit(row: Row, j: u32, z: F, threshold: F) -> Visit {
  var out: Visit;
  let term = load_class(j);
  let label = is_label(row, j);
  let v = kept_logit(row, term, j, z);
  out.rest = select(v, F(NEG_MAX), label);
  if (TWO_STEP) {
    // Raw mass counts the labels too.
    out.entry.u = v;
    out.entry.factor = select(class_factor(row, term), F(0.0), label);
  } else {
    out.entry.u = select(compensated(v, threshold), F(NEG_MAX), label);
    out.entry.factor = class_factor(row, term);
  }
  if (HAS_DENSE) {
    out.entry.tau = select(dense_target(row.dense, j, term.weight), F(0.0), label);
  }
  return out;
}
