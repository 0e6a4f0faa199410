// What each row adds to the reduced loss and to the status. Its part has the denominators in it, one for each segment.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(3) var<storage, read> saved: array<u32>;

fn item_count() -> u32 {
  return window.rows;
}

fn item(row: u32) -> Sum {
  let bad_label = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]) == LABEL_BAD;
  let bits = saved[SAVED_REDUCED * window.rows + row];
  let bad_row = (bits & 0x7fffffffu) > 0x7f800000u && !bad_label;
  let number = window.batch_row + row;
  return Sum(bitcast<f32>(bits), noted(number, bad_label), noted(number, bad_row));
}
