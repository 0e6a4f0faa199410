// The positive side of one label under the softmax link: its class is no part of the sums, and its terms are computed one by
// one.

// The label's u, of the thread that has its column; its weight where weights differ.
struct Positives {
  u: F,
  w: F,
}

fn no_positives() -> Positives {
  return Positives(F(NEG_MAX), F(0.0));
}

// A class as it enters the sums, masked if it is the label; that is kept.
fn class_of(mine: ptr<function, Collected>, row: Row, j: u32, u: F, inside: bool) -> Class {
  let labelled = (I(i32(j)) == row.label) & B(inside);
  (*mine).positives.u = select((*mine).positives.u, u, labelled);
  var w = F(1.0);
  if (WEIGHTS_DIFFER) {
    let column = load_column(j);
    w = weight_of(row, column, j, F(0.0), u);
    (*mine).positives.w = select((*mine).positives.w, weight_of(row, column, j, F(1.0), u), labelled);
  }
  return Class(select(u, F(NEG_MAX), labelled), w, F(0.0));
}

fn collect_positives(mine: ptr<function, Collected>, top: F, a: Class, b: Class, c: Class, d: Class) {}

fn end_positives(mine: ptr<function, Collected>) {}

fn with_positives(mass: Mass, mine: Collected) -> Mass {
  return with_class(mass, mine.positives.u);
}

// Whether the label's column is the thread's.
fn has_label(row: Row, thread: u32) -> B {
  let place = ((U(max(row.label, I(0))) + row.shift) / WIDTH) % WG;
  return (row.label >= I(0)) & (place == U(thread));
}

fn positives_part(mine: Collected, row: Row, thread: u32, share: Share) -> Part {
  var w = mine.positives.w;
  if (!WEIGHTS_DIFFER) {
    w = select(F(0.0), weight_of(row, load_column(0u), 0u, F(1.0), F(0.0)), has_label(row, thread));
  }
  let label = link(F(1.0), w, mine.positives.u, share);
  return Part(label.loss, label.d * label.p, B(false));
}
