// A row as its kernels see it: where it lies, its labels, and u without compensation, in units (terms.wgsl).

struct Row {
  rows: U,
  live: B,
  logits: U,
  gradient: U,
  dense: U,
  shift: u32,
  // Labels among all classes, and the columns that they have in this window.
  first_label: I,
  second_label: I,
  first: I,
  second: I,
  inverse_power: F,
}

fn column_of_label(label: I) -> I {
  let column = label - I(i32(window.first_class));
  let here = (column >= I(0)) & (column < I(i32(window.classes)));
  return select(label, select(I(LABEL_ELSEWHERE), column, here), label >= I(0));
}

fn open_row(group: u32) -> Row {
  var row: Row;
  row.rows = lane_rows(group);
  row.live = live_lanes(group);
  row.logits = window.logits_origin + row.rows * window.logits_stride;
  row.gradient = window.gradient_origin + row.rows * window.gradient_stride;
  row.dense = window.dense_origin + row.rows * window.dense_stride;
  row.shift = pair_shift(first_lane(row.logits), first_lane(row.gradient));
  row.first_label = I(LABEL_NONE);
  row.second_label = I(LABEL_NONE);
  if (!SOFT_TARGETS) {
    row.first_label = load_row_int(FIELD_LABEL, row.rows);
  }
  if (MIXED_TARGETS) {
    row.second_label = load_row_int(FIELDS_PER_LABEL + FIELD_LABEL, row.rows);
  }
  row.first = column_of_label(row.first_label);
  row.second = column_of_label(row.second_label);
  if (HAS_MITIGATION) {
    row.inverse_power = load_row(FIELD_INVERSE_POWER, row.rows);
  }
  return row;
}

// Whether a column is that of a row's labels.
struct AtLabel {
  first: B,
  second: B,
}

fn at_label(row: Row, j: u32) -> AtLabel {
  return at_label_of(labels_from(row, j), 0u);
}

// Where a column is known to be none.
fn no_label() -> AtLabel {
  return AtLabel(B(false), B(false));
}

// How many columns after column j the labels are.
struct Ahead {
  first: I,
  second: I,
}

fn labels_from(row: Row, j: u32) -> Ahead {
  var ahead: Ahead;
  if (!SOFT_TARGETS) {
    ahead.first = row.first - I(i32(j));
  }
  if (MIXED_TARGETS) {
    ahead.second = row.second - I(i32(j));
  }
  return ahead;
}

// The same question some columns after that: one subtraction serves all of a block.
fn at_label_of(ahead: Ahead, offset: u32) -> AtLabel {
  var at = AtLabel(B(false), B(false));
  if (!SOFT_TARGETS) {
    at.first = ahead.first == I(i32(offset));
  }
  if (MIXED_TARGETS) {
    at.second = ahead.second == I(i32(offset));
  }
  return at;
}

// Whether a label may be among a thread's columns of the block that begins so far before it: few blocks of a row have one, and
// the others need not ask for each column. Narrow workgroups are a processor's, which computes both ways under a mask.
fn has_label_near(ahead: Ahead) -> bool {
  if (WG < 32u) {
    return true;
  }
  let reach = I(i32(BLOCK));
  var near = B(false);
  if (!SOFT_TARGETS) {
    near = (ahead.first >= I(0)) & (ahead.first < reach);
  }
  if (MIXED_TARGETS) {
    near = near | ((ahead.second >= I(0)) & (ahead.second < reach));
  }
  return any_lane(near);
}

// The labels' own columns are summed apart from the rest, so that nothing cancels when p is near 1.
fn is_label(at: AtLabel) -> B {
  return at.first | at.second;
}

// v of each lane's own class; NEG_MAX without one.
fn label_logit(row: Row, label: I) -> F {
  let j = U(max(label, I(0)));
  var scale = F(1.0);
  var bias = F(0.0);
  if (HAS_CLASS_SCALE) {
    scale = load_class_at(COLUMN_CLASS_SCALE, j);
  }
  if (HAS_BIAS) {
    bias = load_class_at(COLUMN_BIAS, j);
  }
  let z = label_column(row, j);
  return select(in_logs(adjusted(z, scale, bias)), F(NEG_MAX), label < I(0));
}

// v of the labels; NEG_MAX without one here.
struct LabelLogits {
  first: F,
  second: F,
  // As the other label's softmax sees them: NEG_MAX where a gate takes them out.
  seen_first: F,
  seen_second: F,
}

fn label_logits(row: Row) -> LabelLogits {
  var out = LabelLogits(F(NEG_MAX), F(NEG_MAX), F(NEG_MAX), F(NEG_MAX));
  // A shard may have no classes.
  if (window.classes == 0u) {
    return out;
  }
  if (!SOFT_TARGETS) {
    out.first = label_logit(row, row.first);
  }
  if (MIXED_TARGETS) {
    out.second = label_logit(row, row.second);
  }
  return out;
}

// Once a row, since gates are dear.
fn with_seen(row: Row, labels: LabelLogits) -> LabelLogits {
  var out = labels;
  out.seen_first = labels.first;
  out.seen_second = labels.second;
  if (MIXED_TARGETS && (HAS_GATE || GATE_GIVEN)) {
    out.seen_first =
      select(out.seen_first, F(NEG_MAX), gated_at(row.rows, row.dense, U(max(row.first, I(0)))));
    out.seen_second =
      select(out.seen_second, F(NEG_MAX), gated_at(row.rows, row.dense, U(max(row.second, I(0)))));
  }
  return out;
}

// u of a class of each row, NEG_MAX where a gate takes it out; labels have no gate.
fn kept_logit(row: Row, term: Class, j: u32, z: F, at: AtLabel) -> F {
  let u = adjusted(z, F(term.class_scale), F(term.bias));
  if (HAS_GATE || GATE_GIVEN) {
    return select(u, F(NEG_MAX), gated(row.rows, row.dense, j, term.tail) & !is_label(at));
  }
  return u;
}

// The factor of a class that is no label of the row: mitigation.
fn class_factor(row: Row, term: Class) -> F {
  if (HAS_MITIGATION) {
    return mitigation(term.power, row.inverse_power);
  }
  return F(1.0);
}

// u with compensation.
fn compensated(u: F, threshold: F) -> F {
  if (HAS_COMPENSATION) {
    return min(u + compensation(u, threshold), F(POS_MAX));
  }
  return u;
}

// Where compensation begins when nothing but the label's v decides; nowhere without such a logit.
fn own_threshold(v: F) -> F {
  return select(in_units(v), F(POS_MAX), v <= F(NEG_MAX));
}

// The same with seesaw's floor, from the raw mass of all classes.
fn floor_threshold(v: F, all: Mass) -> F {
  return in_units(max(v, log_mass(in_logs(all.max), all.raw) + spec.seesaw_log_eps));
}
