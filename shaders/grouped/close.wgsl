// What a row leaves: its loss, and of every segment that its label takes part in what the gradient needs.

var<workgroup> row_loss: f32;
var<workgroup> row_reduced: f32;
var<workgroup> row_own: f32;
var<workgroup> row_bad: u32;

fn open_row_sums(thread: u32) {
  if (thread == 0u) {
    row_loss = 0.0;
    row_reduced = 0.0;
    row_own = 0.0;
    row_bad = 0u;
  }
}

fn denominator_inverse(segment: u32) -> f32 {
  if (PER_GROUP) {
    return bitcast<f32>(tally[segment * TALLY_FIELDS + TALLY_INVERSE]);
  }
  return bitcast<f32>(tally[spec.segments * TALLY_FIELDS + TALLY_BATCH_INVERSE]);
}

// r_ng.
fn count_of(row: Row, here: Target) -> f32 {
  if (GIVEN && !HAS_TREE) {
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
