// A thread computes 4 x 4 elements of C.

const TILE: u32 = 4u;

struct Tile {
  // Column i is row i of the tile.
  q: mat4x4<f32>,
  // What the thread has read of A, added up.
  s: vec4<f32>,
}

fn tile_step(t: ptr<function, Tile>, m: u32, n: u32, k: u32) {
  let a = side_a(m, k);
  (*t).q = add_product((*t).q, a, side_b(n, k));
  if (HAS_ROW_SUMS) {
    (*t).s = add_rows((*t).s, a);
  }
}

fn tile_store(t: Tile, m: u32, n: u32) {
  store_quad(m, n, t.q);
  put_row_sums(m, n, t.s);
}
