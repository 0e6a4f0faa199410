// One column a step: a thread's four columns are WG apart, so that neighbouring threads read neighbouring elements.

const WIDTH: u32 = 1u;

fn pair_shift(logits: u32, gradient: u32) -> u32 {
  return 0u;
}

fn column(row: Row, block: u32, thread: u32, k: u32) -> u32 {
  return block * BLOCK + k * WG + thread;
}

// How far behind the first of a thread's four columns another one is.
fn column_offset(k: u32) -> u32 {
  return k * WG;
}

fn load_block(row: Row, block: u32, thread: u32) -> Quad {
  let j = block * BLOCK + thread;
  return Quad(
    load_logits(row.logits, j),
    load_logits(row.logits, j + WG),
    load_logits(row.logits, j + 2u * WG),
    load_logits(row.logits, j + 3u * WG),
  );
}

// Columns outside of the row give others of the row.
fn load_edge(row: Row, block: u32, thread: u32) -> Quad {
  let j = block * BLOCK + thread;
  return Quad(
    load_logits(row.logits, clamped(j)),
    load_logits(row.logits, clamped(j + WG)),
    load_logits(row.logits, clamped(j + 2u * WG)),
    load_logits(row.logits, clamped(j + 3u * WG)),
  );
}

fn store_block(row: Row, block: u32, thread: u32, g: Quad) {
  let j = block * BLOCK + thread;
  store_gradients(row.gradient, j, g.a, row.live);
  store_gradients(row.gradient, j + WG, g.b, row.live);
  store_gradients(row.gradient, j + 2u * WG, g.c, row.live);
  store_gradients(row.gradient, j + 3u * WG, g.d, row.live);
}

fn store_inside(row: Row, j: u32, g: array<F, WIDTH>) {
  if (is_inside(j)) {
    store_gradients(row.gradient, j, g[0], row.live);
  }
}

fn store_edge(row: Row, block: u32, thread: u32, g: Quad) {
  let j = block * BLOCK + thread;
  store_inside(row, j, array<F, WIDTH>(g.a));
  store_inside(row, j + WG, array<F, WIDTH>(g.b));
  store_inside(row, j + 2u * WG, array<F, WIDTH>(g.c));
  store_inside(row, j + 3u * WG, array<F, WIDTH>(g.d));
}
