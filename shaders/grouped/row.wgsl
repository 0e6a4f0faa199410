// A row as its kernels see it, and what is kept of it in `saved`.

struct Row {
  rows: U,
  live: B,
  logits: U,
  gradient: U,
  dense: U,
  shift: u32,
  label: i32,
}

fn open_row(index: u32) -> Row {
  var row: Row;
  row.rows = lane_rows(index);
  row.live = live_lanes(index);
  row.logits = window.logits_origin + row.rows * window.logits_stride;
  row.gradient = window.gradient_origin + row.rows * window.gradient_stride;
  row.dense = window.dense_origin + row.rows * window.dense_stride;
  row.shift = pair_shift(row.logits, row.gradient);
  row.label = load_row_int(FIELD_LABEL, row.rows);
  return row;
}

fn saved_slot(slot: u32, field: u32) -> u32 {
  return SAVED_SLOTS + slot * SLOT_FIELDS + field;
}

fn saved_number(row: Row, field: u32) -> f32 {
  return bitcast<f32>(load_saved(field, row.rows));
}

// A logit; NEG_MAX where it is masked.
fn unmasked(z: f32) -> f32 {
  return max(z, NEG_MAX);
}

// 0 * (an infinite loss) is 0 here.
fn weighted(weight: f32, value: f32) -> f32 {
  return select(weight * value, 0.0, weight == 0.0);
}
