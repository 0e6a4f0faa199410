// A row's loss, and what its gradient needs: of every segment that its label takes part in the log-sum-exp, of the tree
// that of the kept leaves. Where a label takes part in every segment, a row is read once; else once as a whole, for logits
// that are no numbers, and each segment of the label's once more.
//
// Dispatch: a workgroup for each row.

var<workgroup> row_loss: f32;
var<workgroup> row_reduced: f32;
var<workgroup> row_own: f32;
var<workgroup> row_bad: u32;

fn denominator_inverse(segment: u32) -> f32 {
  if (PER_GROUP) {
    return bitcast<f32>(tally[segment * TALLY_FIELDS + TALLY_INVERSE]);
  }
  return bitcast<f32>(tally[spec.segments * TALLY_FIELDS + TALLY_BATCH_INVERSE]);
}

// r_ng.
fn count_of(row: Row, here: Target) -> f32 {
  if (GIVEN) {
    return load_dense(row.dense + here.segment);
  }
  if (DRAWN && !here.own && is_sampled(here.segment)) {
    let at = here.segment * TALLY_FIELDS;
    let number = row.rows + window.batch_row;
    let key = draw_word(row.rows + window.first_row, here.segment);
    let last = tally[at + TALLY_LAST_KEY];
    let drawn = key < last || (key == last && number <= tally[at + TALLY_LAST_ROW]);
    return select(0.0, 1.0, drawn && tally[at + TALLY_DRAWN] != 0u);
  }
  return 1.0;
}

fn save_slot(row: Row, slot: u32, field: u32, bits: u32) {
  store_saved(saved_slot(slot, field), row.rows, bits, row.live);
}

// One thread: the row's part in a segment.
fn close_slot(row: Row, slot: u32, here: Target, others: f32, weight: f32) {
  save_slot(row, slot, SLOT_SEGMENT, here.segment);
  if (here.segment == NONE) {
    return;
  }
  let count = count_of(row, here);
  let cross = cross_entropy(unmasked(load_logit(row.logits + here.column)), others);
  let share = denominator_inverse(here.segment);
  let coefficient = weight * spec.weight * share * count;
  save_slot(row, slot, SLOT_TARGET, here.column);
  save_slot(row, slot, SLOT_REFERENCE, bitcast<u32>(cross.reference));
  save_slot(row, slot, SLOT_COEFFICIENT, bitcast<u32>(coefficient));
  save_slot(row, slot, SLOT_FIRST, bitcast<u32>(-coefficient * cross.rest));
  // A label's own columns make its probability.
  if (is_column_of(u32(row.label), here.column)) {
    row_own += cross.loss;
  }
  if (count != 0.0) {
    row_bad |= select(0u, 1u, cross.empty);
    row_loss += weighted(spec.weight, count * cross.loss);
    row_reduced += weighted(coefficient, cross.loss);
  }
}

// Whether a target is one of the label's columns, the others' among them.
fn is_column_of(label: u32, column: u32) -> bool {
  let end = tables[spec.label_starts + label + 1u];
  for (var i = tables[spec.label_starts + label]; i < end; i++) {
    if (tables[spec.label_columns + i] == column) {
      return true;
    }
  }
  return false;
}

// All threads.
fn slot_pass(row: Row, thread: u32, slot: u32, weight: f32, scan: ptr<function, Scan>) {
  var here = Target(NONE, NONE, false);
  if (row.label >= 0) {
    here = target_in_slot(u32(row.label), slot);
  }
  var mass = Mass(NEG_MAX, 0.0);
  if (here.segment != NONE) {
    let end = segment_start(here.segment + 1u);
    for (var j = segment_start(here.segment) + thread; j < end; j += WG) {
      let z = load_logit(row.logits + j);
      scan_logit(scan, z, j);
      if (j != here.column) {
        add_to(&mass, unmasked(z));
      }
    }
  }
  let total = merged(thread, mass);
  if (thread == 0u) {
    close_slot(row, slot, here, log_mass(total), weight);
  }
}

// All threads.
fn tree_pass(row: Row, thread: u32, weight: f32) {
  var stands = NONE;
  var mass = Mass(NEG_MAX, 0.0);
  if (row.label >= 0) {
    stands = standing_for(row, u32(row.label));
    for (var k = thread; k < spec.labels; k += WG) {
      let leaf = leaf_of(row, k);
      if (leaf.kept && k != stands) {
        add_to(&mass, min(leaf.raw, spec.ceiling));
      }
    }
  }
  let total = merged(thread, mass);
  if (thread == 0u && row.label >= 0) {
    let cross = cross_entropy(min(leaf_of(row, stands).raw, spec.ceiling), log_mass(total));
    let inverse = bitcast<f32>(tally[spec.segments * TALLY_FIELDS + TALLY_TREE_INVERSE]);
    let coefficient = weight * spec.tree_weight * inverse;
    row_bad |= select(0u, 1u, cross.empty);
    row_loss += weighted(spec.tree_weight, cross.loss);
    row_reduced += weighted(coefficient, cross.loss);
    store_saved(SAVED_LEAF, row.rows, stands, row.live);
    store_saved(SAVED_LEAF_REFERENCE, row.rows, bitcast<u32>(cross.reference), row.live);
    store_saved(SAVED_LEAF_COEFFICIENT, row.rows, bitcast<u32>(coefficient), row.live);
    store_saved(SAVED_LEAF_REST, row.rows, bitcast<u32>(cross.rest), row.live);
  }
}

fn is_in_every_segment(row: Row) -> bool {
  return row.label >= 0 && tables[spec.label_pairs + u32(max(row.label, 0))] == spec.segments;
}

fn save_row(row: Row, scan: Scan, weight: f32) {
  let nan = window.nan;
  let bad = scan.bad || row_bad != 0u || row.label == LABEL_BAD;
  let kept = row.label >= 0;
  let loss = bitcast<u32>(select(0.0, weighted(weight, row_loss), kept));
  let reduced = bitcast<u32>(select(0.0, row_reduced, kept));
  let probability = bitcast<u32>(select(0.0, exp(-min(row_own, 200.0)), kept));
  store_saved(SAVED_LOSS, row.rows, select(loss, nan, bad), row.live);
  store_saved(SAVED_REDUCED, row.rows, select(reduced, nan, bad), row.live);
  store_saved(SAVED_PROBABILITY, row.rows, select(probability, nan, bad), row.live);
  // Every segment has one of its own.
  store_saved(SAVED_LOG_SUM_EXP, row.rows, nan, row.live);
  if (WANT_ARGMAX) {
    store_saved(SAVED_ARGMAX, row.rows, scan.index, row.live);
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let index = linear_workgroup(id, count);
  if (index >= window.rows) {
    return;
  }
  let row = open_row(index);
  let weight = load_row(FIELD_WEIGHT, row.rows);
  if (thread == 0u) {
    row_loss = 0.0;
    row_reduced = 0.0;
    row_own = 0.0;
    row_bad = 0u;
  }
  var mine = Scan(false, NEG_MAX, NONE);
  for (var slot = 0u; slot < spec.slots; slot++) {
    slot_pass(row, thread, slot, weight, &mine);
  }
  if (!is_in_every_segment(row)) {
    for (var j = thread; j < window.classes; j += WG) {
      scan_logit(&mine, load_logit(row.logits + j), j);
    }
  }
  let scan = merged_scan(thread, mine);
  if (HAS_TREE) {
    tree_pass(row, thread, weight);
  }
  if (thread == 0u) {
    save_row(row, scan, weight);
  }
}
