// What each row adds to the reduced loss and to the status. Needs SAVED_REDUCED: where a row has left the former.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(3) var<storage, read> saved: array<u32>;

fn item_count() -> u32 {
  return window.rows;
}

fn item(row: u32) -> Sum {
  var bad_label = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]) == LABEL_BAD;
  if (MIXED_TARGETS) {
    let second = rows_in[(FIELDS_PER_LABEL + FIELD_LABEL) * window.rows + row];
    bad_label = bad_label || bitcast<i32>(second) == LABEL_BAD;
  }
  let bad_row = is_nan(bitcast<f32>(saved[SAVED_LOSS * window.rows + row])) && !bad_label;
  let number = window.batch_row + row;
  let reduced = bitcast<f32>(saved[SAVED_REDUCED * window.rows + row]);
  return Sum(reduced, noted(number, bad_label), noted(number, bad_row));
}
