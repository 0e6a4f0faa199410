// A row's loss, and what its gradient needs: of every segment that its label takes part in the log-sum-exp. Each logit is read
// once: between those segments for numbers that are none, and the largest.

// Some columns, four of each thread at a time: their loads are in flight together.
fn scan_columns(row: Row, thread: u32, begin: u32, end: u32, scan: ptr<function, Scan>) {
  var j = begin + thread;
  for (; j + 3u * WG < end; j += 4u * WG) {
    let a = load_logit(row.logits + j);
    let b = load_logit(row.logits + j + WG);
    let c = load_logit(row.logits + j + 2u * WG);
    let d = load_logit(row.logits + j + 3u * WG);
    scan_logit(scan, a, j);
    scan_logit(scan, b, j + WG);
    scan_logit(scan, c, j + 2u * WG);
    scan_logit(scan, d, j + 3u * WG);
  }
  for (; j < end; j += WG) {
    scan_logit(scan, load_logit(row.logits + j), j);
  }
}

// The mass of those but the target.
fn add_columns(row: Row, thread: u32, begin: u32, end: u32, goal: u32, scan: ptr<function, Scan>) -> Mass {
  var mass = Mass(NEG_MAX, 0.0);
  var j = begin + thread;
  for (; j + 3u * WG < end; j += 4u * WG) {
    let a = load_logit(row.logits + j);
    let b = load_logit(row.logits + j + WG);
    let c = load_logit(row.logits + j + 2u * WG);
    let d = load_logit(row.logits + j + 3u * WG);
    scan_logit(scan, a, j);
    scan_logit(scan, b, j + WG);
    scan_logit(scan, c, j + 2u * WG);
    scan_logit(scan, d, j + 3u * WG);
    add_four(&mass, vec4<f32>(
      unless_goal(a, j, goal),
      unless_goal(b, j + WG, goal),
      unless_goal(c, j + 2u * WG, goal),
      unless_goal(d, j + 3u * WG, goal),
    ));
  }
  for (; j < end; j += WG) {
    let z = load_logit(row.logits + j);
    scan_logit(scan, z, j);
    add_to(&mass, unless_goal(z, j, goal));
  }
  return mass;
}

fn unless_goal(z: f32, j: u32, goal: u32) -> f32 {
  return select(unmasked(z), NEG_MAX, j == goal);
}

// All threads. Slots are in the order of their columns.
fn statistics(thread: u32, label: i32, weight: f32) -> Scan {
  var scan = Scan(false, NEG_MAX, NONE);
  var rest = 0u;
  for (var slot = 0u; slot < spec.slots; slot++) {
    let row = opened_again();
    var here = Target(NONE, NONE, false);
    if (label >= 0) {
      here = target_in_slot(u32(label), slot);
    }
    var mass = Mass(NEG_MAX, 0.0);
    if (here.segment != NONE) {
      let begin = segment_start(here.segment);
      let end = segment_start(here.segment + 1u);
      scan_columns(row, thread, rest, begin, &scan);
      mass = add_columns(row, thread, begin, end, here.column, &scan);
      rest = end;
    }
    let total = merged(thread, mass);
    if (thread == 0u) {
      close_slot(row, slot, here, log_mass(total), weight);
    }
  }
  scan_columns(opened_again(), thread, rest, window.classes, &scan);
  return merged_scan(thread, scan);
}
