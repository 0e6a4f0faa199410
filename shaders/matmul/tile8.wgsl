// A thread computes 8 x 8 elements of C, as four blocks of 4 x 4 that are SPREAD_M and SPREAD_N apart.

const TILE: u32 = 8u;

struct Tile {
  // Column i of a block is its row i.
  q00: mat4x4<f32>,
  q01: mat4x4<f32>,
  q10: mat4x4<f32>,
  q11: mat4x4<f32>,
  // What the thread has read of A, added up.
  s0: vec4<f32>,
  s1: vec4<f32>,
}

fn tile_step(t: ptr<function, Tile>, m: u32, n: u32, k: u32) {
  let a0 = side_a(m, k);
  let a1 = side_a(m + SPREAD_M, k);
  let b0 = side_b(n, k);
  let b1 = side_b(n + SPREAD_N, k);
  (*t).q00 = add_product((*t).q00, a0, b0);
  (*t).q01 = add_product((*t).q01, a0, b1);
  (*t).q10 = add_product((*t).q10, a1, b0);
  (*t).q11 = add_product((*t).q11, a1, b1);
  if (HAS_ROW_SUMS) {
    (*t).s0 = add_rows((*t).s0, a0);
    (*t).s1 = add_rows((*t).s1, a1);
  }
}

fn tile_store(t: Tile, m: u32, n: u32) {
  store_quad(m, n, t.q00);
  store_quad(m, n + SPREAD_N, t.q01);
  store_quad(m + SPREAD_M, n, t.q10);
  store_quad(m + SPREAD_M, n + SPREAD_N, t.q11);
  put_row_sums(m, n, t.s0);
  put_row_sums(m + SPREAD_M, n, t.s1);
}
