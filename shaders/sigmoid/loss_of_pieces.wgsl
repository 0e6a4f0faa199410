// Rows that are split: the pieces' losses in order, which close the row; what it adds to the reduced loss and to the
// status.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;

fn item_count() -> u32 {
  return window.rows;
}

struct Piece {
  loss: f32,
  bad: u32,
  best: f32,
  index: u32,
}

fn piece_of(row: u32, slot: u32) -> Piece {
  let at = (SAVED_EXTRA + slot * SLOT_FIELDS) * window.rows + row;
  var piece = Piece(bitcast<f32>(saved[at]), saved[at + SLOT_BAD * window.rows], 0.0, 0u);
  if (WANT_ARGMAX) {
    piece.best = bitcast<f32>(saved[at + SLOT_BEST * window.rows]);
    piece.index = saved[at + SLOT_INDEX * window.rows];
  }
  return piece;
}

// With the next piece. Of equal logits the first counts.
fn with_piece(a: Piece, b: Piece) -> Piece {
  let larger = b.best > a.best || a.index == 0xffffffffu;
  return Piece(a.loss + b.loss, a.bad | b.bad, select(a.best, b.best, larger), select(a.index, b.index, larger));
}

fn item(row: u32) -> Sum {
  var all = Piece(0.0, 0u, NEG_MAX, 0xffffffffu);
  var slot = 0u;
  // Four at a time: their loads are in flight together.
  for (; slot + 3u < window.slots; slot += 4u) {
    let a = piece_of(row, slot);
    let b = piece_of(row, slot + 1u);
    let c = piece_of(row, slot + 2u);
    let d = piece_of(row, slot + 3u);
    all = with_piece(with_piece(with_piece(with_piece(all, a), b), c), d);
  }
  for (; slot < window.slots; slot++) {
    all = with_piece(all, piece_of(row, slot));
  }
  let out = select(bitcast<u32>(all.loss), window.nan, all.bad != 0u);
  saved[SAVED_LOSS * window.rows + row] = out;
  if (WANT_ARGMAX) {
    saved[SAVED_ARGMAX * window.rows + row] = all.index;
  }
  let bad_label = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]) == LABEL_BAD;
  let number = window.batch_row + row;
  return Sum(bitcast<f32>(out), noted(number, bad_label), noted(number, is_nan(bitcast<f32>(out)) && !bad_label));
}
