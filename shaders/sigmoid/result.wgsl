// What a row, or a piece of it, comes to.

struct Result {
  loss: F,
  bad: B,
  best: F,
  index: U,
}

// A row's result, or a piece's in its slot. One thread does this.
fn store_result(row: Row, piece: u32, out: Result) {
  if (SPLIT) {
    let slot = SAVED_EXTRA + (window.first_slot + piece) * SLOT_FIELDS;
    store_saved(slot + SLOT_LOSS, row.rows, bits_of(out.loss), row.live);
    store_saved(slot + SLOT_BAD, row.rows, select(U(0u), U(1u), out.bad), row.live);
    if (WANT_ARGMAX) {
      store_saved(slot + SLOT_BEST, row.rows, bits_of(out.best), row.live);
      store_saved(slot + SLOT_INDEX, row.rows, out.index + U(window.first_class), row.live);
    }
    return;
  }
  store_saved(SAVED_LOSS, row.rows, select(bits_of(out.loss), U(window.nan), out.bad), row.live);
  if (WANT_ARGMAX) {
    store_saved(SAVED_ARGMAX, row.rows, out.index, row.live);
  }
}
