// Two columns a step, for matrices of two elements in a word: a thread has two pairs, 2 * WG columns apart. All lanes'
// rows start on the same half of a word; `shift` is 1 where that is the high one.

const WIDTH: u32 = 2u;

fn pair_shift(logits: u32, gradient: u32) -> u32 {
  if (PAIRS_FOLLOW_GRADIENT) {
    return gradient & 1u;
  }
  return logits & 1u;
}

// Before the row's first column this wraps around to beyond its last.
fn column(row: Row, block: u32, thread: u32, k: u32) -> u32 {
  return 2u * (words_to(block, thread) + (k >> 1u) * WG) + (k & 1u) - row.shift;
}

// How far behind the first of a thread's four columns another one is.
fn column_offset(k: u32) -> u32 {
  return 2u * (k >> 1u) * WG + (k & 1u);
}

// The word in which a row begins, and how many words after it the first of a thread's two pairs is, the second WG words later.
fn words_of(base: U, shift: u32) -> U {
  return (base - shift) >> U(1u);
}

fn words_to(block: u32, thread: u32) -> u32 {
  return block * (BLOCK / 2u) + thread;
}

fn load_block(row: Row, block: u32, thread: u32) -> Quad {
  if (LOGITS_PACKED && !LOGITS_STRADDLE) {
    let words = words_of(row.logits, row.shift);
    let place = words_to(block, thread);
    let first = load_logit_words(words, place);
    let second = load_logit_words(words, place + WG);
    return Quad(first.x, first.y, second.x, second.y);
  }
  let first = load_logit_pairs(row.logits, column(row, block, thread, 0u));
  let second = load_logit_pairs(row.logits, column(row, block, thread, 2u));
  return Quad(first.x, first.y, second.x, second.y);
}

// Columns outside of the row give others of the row.
fn load_edge(row: Row, block: u32, thread: u32) -> Quad {
  if (LOGITS_PACKED && !LOGITS_STRADDLE) {
    let first = load_logit_pairs_inside(row.logits, column(row, block, thread, 0u));
    let second = load_logit_pairs_inside(row.logits, column(row, block, thread, 2u));
    return Quad(first.x, first.y, second.x, second.y);
  }
  return Quad(
    load_logits(row.logits, clamped(column(row, block, thread, 0u))),
    load_logits(row.logits, clamped(column(row, block, thread, 1u))),
    load_logits(row.logits, clamped(column(row, block, thread, 2u))),
    load_logits(row.logits, clamped(column(row, block, thread, 3u))),
  );
}

fn store_block(row: Row, block: u32, thread: u32, g: Quad) {
  if (GRADIENT_PACKED) {
    let words = words_of(row.gradient, row.shift);
    let place = words_to(block, thread);
    store_gradient_words(words, place, g.a, g.b, row.live);
    store_gradient_words(words, place + WG, g.c, g.d, row.live);
    return;
  }
  store_gradient_pairs(row.gradient, column(row, block, thread, 0u), g.a, g.b, row.live);
  store_gradient_pairs(row.gradient, column(row, block, thread, 2u), g.c, g.d, row.live);
}

// A word that is not all this row's own is left to `save_edges`.
fn store_inside(row: Row, j: u32, g: array<F, WIDTH>) {
  if (GRADIENT_PACKED) {
    if (is_inside(j) && is_inside(j + 1u)) {
      store_gradient_pairs(row.gradient, j, g[0], g[1], row.live);
    }
  } else {
    if (is_inside(j)) {
      store_gradients(row.gradient, j, g[0], row.live);
    }
    if (is_inside(j + 1u)) {
      store_gradients(row.gradient, j + 1u, g[1], row.live);
    }
  }
}

fn store_edge(row: Row, block: u32, thread: u32, g: Quad) {
  store_inside(row, column(row, block, thread, 0u), array<F, WIDTH>(g.a, g.b));
  store_inside(row, column(row, block, thread, 2u), array<F, WIDTH>(g.c, g.d));
}
