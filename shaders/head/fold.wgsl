// The statistics of a piece of GROUP_M rows, from features and weights: the products of the rows with GROUP_N classes at a
// time stay on chip until the rows' statistics have them, and no logit is ever stored. Thread t has a part of the
// columns of rows 4 (t % ROOTS) to 4 (t % ROOTS) + 3, which are its lanes.
//
// Windows over further classes add to what the slot of a piece has. With seesaw's floor twice: the first time with
// TWO_STEP, for the raw mass; then, once `threshold` has run, AGAIN.
//
// Dispatch: a workgroup for each piece of each GROUP_M rows.

// Threads that share a row.
const SHARE: u32 = WG / ROOTS;

// Tiles whose classes are added up apart: long rows lose fewer digits.
const STRETCH: u32 = 8u;

// A class from its product. Beyond the window's last one it is masked and no target.
fn fold_class(row: Row, lengths: Lengths, j: u32, factor: f32, product: F, threshold: F, scan: ptr<function, Scan>) -> Entry {
  let inside = is_inside(j);
  let z = select(F(-bitcast<f32>(window.infinity)), logits_of(row, lengths, j, factor, product), inside);
  scan_logit(scan, z, j);
  var entry = visit(row, j, z, at_label(row, j), threshold).entry;
  if (HAS_DENSE) {
    entry.tau = select(F(0.0), entry.tau, inside);
  }
  return entry;
}

// Adds the tile on chip, whose first class is `first`.
fn fold_tile(
  row: Row,
  lengths: Lengths,
  thread: u32,
  first: u32,
  threshold: F,
  mass: ptr<function, Mass>,
  scan: ptr<function, Scan>,
) {
  for (var column = 4u * (thread / ROOTS); column < GROUP_N; column += 4u * SHARE) {
    let j = first + column;
    let at = column * ROOTS + thread % ROOTS;
    let factors = late_b(j);
    let a = fold_class(row, lengths, j, factors.x, products[at], threshold, scan);
    let b = fold_class(row, lengths, j + 1u, factors.y, products[at + ROOTS], threshold, scan);
    let c = fold_class(row, lengths, j + 2u, factors.z, products[at + 2u * ROOTS], threshold, scan);
    let d = fold_class(row, lengths, j + 3u, factors.w, products[at + 3u * ROOTS], threshold, scan);
    add_classes(mass, a, b, c, d);
  }
}

// With what the windows before have left.
fn mass_with_slot(slot: u32, row: Row, mass: Mass) -> Mass {
  var old = no_mass();
  old.max = float_of_bits(load_saved(slot_field(slot, SLOT_MAX), row.rows));
  old.sum = float_of_bits(load_saved(slot_field(slot, SLOT_SUM), row.rows));
  if (TWO_STEP) {
    old.raw = float_of_bits(load_saved(slot_field(slot, SLOT_RAW), row.rows));
  }
  if (HAS_DENSE) {
    old.weight = float_of_bits(load_saved(slot_field(slot, SLOT_WEIGHT), row.rows));
    old.cross = float_of_bits(load_saved(slot_field(slot, SLOT_CROSS), row.rows));
  }
  return merge(old, mass);
}

fn found_with_slot(slot: u32, row: Row, found: Found) -> Found {
  var out = found;
  out.bad = found.bad | (load_saved(slot_field(slot, SLOT_BAD), row.rows) != U(0u));
  if (WANT_ARGMAX) {
    // The lower class on ties, which came before.
    let best = float_of_bits(load_saved(slot_field(slot, SLOT_BEST), row.rows));
    let index = load_saved(slot_field(slot, SLOT_INDEX), row.rows);
    out.best = max(best, found.best);
    out.index = select(index, found.index, found.best > best);
  }
  return out;
}

fn run(id: vec3<u32>, count: vec3<u32>, thread: u32) {
  let index = linear_workgroup(id, count);
  // Neighbours have the same classes, whose weights are read while they are near.
  let blocks = (window.rows + GROUP_M - 1u) / GROUP_M;
  let slot = index / blocks;
  if (slot >= window.pieces) {
    return;
  }
  let block = index % blocks;
  let row = open_row(block * ROOTS + thread % ROOTS);
  let lengths = open_lengths(row);
  var threshold = F(POS_MAX);
  if (HAS_COMPENSATION && !TWO_STEP) {
    threshold = float_of_bits(load_saved(SAVED_THRESHOLD, row.rows));
  }
  let all = (window.classes + GROUP_N - 1u) / GROUP_N;
  let begin = min(slot * window.piece_blocks, all);
  let end = min(begin + window.piece_blocks, all);
  var mass = no_mass();
  var stretch = no_mass();
  var scan = new_scan();
  for (var tile = begin; tile < end; tile++) {
    // All threads are done with the tile before.
    workgroupBarrier();
    multiply(vec2<u32>(block * GROUP_M, tile * GROUP_N), thread);
    workgroupBarrier();
    fold_tile(row, lengths, thread, tile * GROUP_N, threshold, &stretch, &scan);
    if (tile % STRETCH == STRETCH - 1u) {
      mass = merge(mass, stretch);
      stretch = no_mass();
    }
  }
  var total = merge_over_workgroup(thread, merge(mass, stretch));
  var found = found_over_workgroup(thread, scan);
  if (thread < ROOTS) {
    if ((window.flags & FLAG_FIRST_OF_ROWS) == 0u) {
      total = mass_with_slot(slot, row, total);
      found = found_with_slot(slot, row, found);
    }
    store_part(slot, row, total, found);
  }
}
