// Rows that are split: the pieces' losses in order, which close the row; what it adds to the reduced loss and to the
// status.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;

fn item_count() -> u32 {
  return window.rows;
}

fn item(row: u32) -> Sum {
  var loss = 0.0;
  var bad = 0u;
  var best = NEG_MAX;
  var index = 0xffffffffu;
  for (var slot = 0u; slot < window.slots; slot++) {
    let at = (SAVED_EXTRA + slot * SLOT_FIELDS) * window.rows + row;
    loss += bitcast<f32>(saved[at]);
    bad |= saved[at + SLOT_BAD * window.rows];
    if (WANT_ARGMAX) {
      let other = bitcast<f32>(saved[at + SLOT_BEST * window.rows]);
      if (other > best || index == 0xffffffffu) {
        best = other;
        index = saved[at + SLOT_INDEX * window.rows];
      }
    }
  }
  let out = select(bitcast<u32>(loss), window.nan, bad != 0u);
  saved[SAVED_LOSS * window.rows + row] = out;
  if (WANT_ARGMAX) {
    saved[SAVED_ARGMAX * window.rows + row] = index;
  }
  let bad_label = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]) == LABEL_BAD;
  let number = window.batch_row + row;
  return Sum(bitcast<f32>(out), noted(number, bad_label), noted(number, is_nan(bitcast<f32>(out)) && !bad_label));
}
