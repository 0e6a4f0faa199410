// Loss of LANES rows per workgroup whose rows fit on chip: each thread holds CHIP columns of each row, so that
// every logit is read once and, with WRITE_GRADIENT, its gradient written once. A thread's masses are relative to the
// largest u of its own columns, and are what it holds from then on: one exponential for each logit, the gradient's too.
//
// Dispatch: a workgroup for each group of LANES rows; CHIP * WG >= K + shift, and (CHIP - 4) * WG <= K: only the last block
// of columns may stick out of the row, and where pairs of columns are words the first.

// A column of a block, one of the row if the block sticks out of it.
fn chip_column(j: u32, sticks_out: bool) -> u32 {
  if (sticks_out) {
    return clamped(j);
  }
  return j;
}

// The u of a column, without compensation; what lies outside of the row is masked.
fn chip_u(row: Row, j: u32, z: F, at: AtLabel, sticks_out: bool, scan: ptr<function, Scan>) -> F {
  let inside = chip_column(j, sticks_out);
  var here = z;
  if (sticks_out) {
    here = select(F(-bitcast<f32>(window.infinity)), z, is_inside(j));
  }
  scan_logit(scan, here, inside);
  return kept_logit(row, load_class(inside), inside, here, at);
}

// Without TWO_STEP u is masked already where the column is a label.
fn chip_entry(row: Row, j: u32, u: F, at: AtLabel, sticks_out: bool) -> Entry {
  let inside = chip_column(j, sticks_out);
  let term = load_class(inside);
  var own = u;
  if (TWO_STEP) {
    own = select(u, F(NEG_MAX), is_label(at));
  }
  var tau = F(0.0);
  if (HAS_DENSE) {
    let none = is_label(at) | B(sticks_out && !is_inside(j));
    tau = select(dense_target(row.dense, inside, term.weight), F(0.0), none);
  }
  return Entry(own, class_factor(row, term), tau);
}

// A block's logits: held[] is u. With TWO_STEP the raw mass is added, labels and all; without it labels are masked, and the
// largest u is all there is of the mass.
fn gather_chip(
  row: Row,
  thread: u32,
  block: u32,
  sticks_out: bool,
  held: ptr<function, array<F, CHIP>>,
  mass: ptr<function, Mass>,
  scan: ptr<function, Scan>,
) {
  let ja = column(row, block, thread, 0u);
  let jb = column(row, block, thread, 1u);
  let jc = column(row, block, thread, 2u);
  let jd = column(row, block, thread, 3u);
  let ahead = labels_from(row, ja);
  let at_a = at_label_of(ahead, 0u);
  let at_b = at_label_of(ahead, column_offset(1u));
  let at_c = at_label_of(ahead, column_offset(2u));
  let at_d = at_label_of(ahead, column_offset(3u));
  var z: Quad;
  if (sticks_out) {
    z = load_edge(row, block, thread);
  } else {
    z = load_block(row, block, thread);
  }
  let a = chip_u(row, ja, z.a, at_a, sticks_out, scan);
  let b = chip_u(row, jb, z.b, at_b, sticks_out, scan);
  let c = chip_u(row, jc, z.c, at_c, sticks_out, scan);
  let d = chip_u(row, jd, z.d, at_d, sticks_out, scan);
  if (TWO_STEP) {
    let one = F(1.0);
    let none = F(0.0);
    add_classes(mass, Entry(a, one, none), Entry(b, one, none), Entry(c, one, none), Entry(d, one, none));
  }
  var u = Quad(a, b, c, d);
  if (!TWO_STEP) {
    if (has_label_near(ahead)) {
      u.a = select(a, F(NEG_MAX), is_label(at_a));
      u.b = select(b, F(NEG_MAX), is_label(at_b));
      u.c = select(c, F(NEG_MAX), is_label(at_c));
      u.d = select(d, F(NEG_MAX), is_label(at_d));
    }
    (*mass).max = max(max(max((*mass).max, u.a), max(u.b, u.c)), u.d);
  }
  let i = 4u * block;
  (*held)[i] = u.a;
  (*held)[i + 1u] = u.b;
  (*held)[i + 2u] = u.c;
  (*held)[i + 3u] = u.d;
}

// From a block's u to their masses, none of which lies above the maximum.
fn weigh_chip(
  row: Row,
  thread: u32,
  block: u32,
  sticks_out: bool,
  threshold: F,
  held: ptr<function, array<F, CHIP>>,
  mass: ptr<function, Mass>,
) {
  let ahead = labels_from(row, column(row, block, thread, 0u));
  // What is weighed knows labels only with raw mass or targets of every class.
  let near = !(TWO_STEP || HAS_DENSE) || sticks_out || has_label_near(ahead);
  if (near) {
    for (var k = 0u; k < 4u; k++) {
      let at = at_label_of(ahead, column_offset(k));
      weigh_column(row, column(row, block, thread, k), 4u * block + k, at, sticks_out, threshold, held, mass);
    }
  } else {
    for (var k = 0u; k < 4u; k++) {
      weigh_column(row, column(row, block, thread, k), 4u * block + k, no_label(), false, threshold, held, mass);
    }
  }
}

fn weigh_column(
  row: Row,
  j: u32,
  i: u32,
  at: AtLabel,
  sticks_out: bool,
  threshold: F,
  held: ptr<function, array<F, CHIP>>,
  mass: ptr<function, Mass>,
) {
  let entry = chip_entry(row, j, compensated((*held)[i], threshold), at, sticks_out);
  (*held)[i] = include(mass, entry, (*mass).max);
}

// The gradient of a column that is no label; `held` is a mass whose unit is `unit`.
fn chip_gradient(row: Row, out: RowLoss, j: u32, held: F, sticks_out: bool, unit: F) -> F {
  let inside = chip_column(j, sticks_out);
  var weight = 1.0;
  if (HAS_CLASS_WEIGHTS) {
    weight = classes[COLUMN_WEIGHT * window.classes + inside];
  }
  let g = with_targets(row, out, inside, unit * held, weight, no_label());
  if (HAS_CLASS_SCALE) {
    return classes[COLUMN_CLASS_SCALE * window.classes + inside] * g;
  }
  return g;
}

// The same, or the label's own where the column is one.
fn chip_labelled(out: RowLoss, j: u32, g: F, at: AtLabel, sticks_out: bool) -> F {
  var scale = 1.0;
  if (HAS_CLASS_SCALE) {
    scale = classes[COLUMN_CLASS_SCALE * window.classes + chip_column(j, sticks_out)];
  }
  var labelled = g;
  if (!SOFT_TARGETS) {
    labelled = select(labelled, scale * out.first, at.first);
  }
  if (MIXED_TARGETS) {
    labelled = select(labelled, scale * out.second, at.second);
  }
  return labelled;
}

fn write_chip(
  row: Row,
  out: RowLoss,
  thread: u32,
  block: u32,
  sticks_out: bool,
  held: ptr<function, array<F, CHIP>>,
  unit: F,
) {
  let ja = column(row, block, thread, 0u);
  let jb = column(row, block, thread, 1u);
  let jc = column(row, block, thread, 2u);
  let jd = column(row, block, thread, 3u);
  let ahead = labels_from(row, ja);
  let i = 4u * block;
  var g = Quad(
    chip_gradient(row, out, ja, (*held)[i], sticks_out, unit),
    chip_gradient(row, out, jb, (*held)[i + 1u], sticks_out, unit),
    chip_gradient(row, out, jc, (*held)[i + 2u], sticks_out, unit),
    chip_gradient(row, out, jd, (*held)[i + 3u], sticks_out, unit),
  );
  if (has_label_near(ahead)) {
    g.a = chip_labelled(out, ja, g.a, at_label_of(ahead, 0u), sticks_out);
    g.b = chip_labelled(out, jb, g.b, at_label_of(ahead, column_offset(1u)), sticks_out);
    g.c = chip_labelled(out, jc, g.c, at_label_of(ahead, column_offset(2u)), sticks_out);
    g.d = chip_labelled(out, jd, g.d, at_label_of(ahead, column_offset(3u)), sticks_out);
  }
  if (sticks_out) {
    store_edge(row, block, thread, g);
  } else {
    store_block(row, block, thread, g);
  }
}

// The row as the walk over its weights has it: behind a barrier it is opened again.
fn opened_for_weights(row: Row) -> Row {
  if (TWO_STEP) {
    return opened_again();
  }
  return row;
}

// The blocks that lie within the row as a whole: from FIRST_WHOLE on, all but the last. The others are written out, so that
// nothing is asked of the columns of these.
const LAST_BLOCK: u32 = CHIP / 4u - 1u;
const FIRST_WHOLE: u32 = WIDTH - 1u;
const FIRST_STICKS_OUT: bool = WIDTH == 2u && LAST_BLOCK > 0u;

fn chip_row(thread: u32, group: u32) {
  keep_group(thread, group);
  let row = open_row(group);
  let labels = label_logits(row);
  // This thread's columns: u without compensation, and then factor exp(scale (u - top)).
  var held: array<F, CHIP>;
  var threshold = own_threshold(labels.first);
  var scan = new_scan();
  var mass = no_mass();
  if (FIRST_STICKS_OUT) {
    gather_chip(row, thread, 0u, true, &held, &mass, &scan);
  }
  for (var block = FIRST_WHOLE; block < LAST_BLOCK; block++) {
    gather_chip(row, thread, block, false, &held, &mass, &scan);
  }
  gather_chip(row, thread, LAST_BLOCK, true, &held, &mass, &scan);
  if (TWO_STEP) {
    mass = merge_over_workgroup(thread, mass);
    threshold = floor_threshold(labels.first, mass);
  }
  // Compensation keeps the order, so no u lies above this.
  let top = compensated(mass.max, threshold);
  mass = no_mass();
  mass.max = top;
  let held_row = opened_for_weights(row);
  if (FIRST_STICKS_OUT) {
    weigh_chip(held_row, thread, 0u, true, threshold, &held, &mass);
  }
  for (var block = FIRST_WHOLE; block < LAST_BLOCK; block++) {
    weigh_chip(held_row, thread, block, false, threshold, &held, &mass);
  }
  weigh_chip(held_row, thread, LAST_BLOCK, true, threshold, &held, &mass);
  let total = merge_over_workgroup(thread, mass);
  let out = close_row(thread, row, total, labels, threshold, scan);
  if (WRITE_GRADIENT) {
    let again = opened_again();
    let unit = out.coefficient * exp_scaled(top - out.reference);
    if (FIRST_STICKS_OUT) {
      write_chip(again, out, thread, 0u, true, &held, unit);
    }
    for (var block = FIRST_WHOLE; block < LAST_BLOCK; block++) {
      write_chip(again, out, thread, block, false, &held, unit);
    }
    write_chip(again, out, thread, LAST_BLOCK, true, &held, unit);
    if (thread == 0u) {
      save_edges(again, out, threshold);
    }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let group = linear_workgroup(id, count);
  if (is_group(group)) {
    chip_row(local.x, group);
  }
}
