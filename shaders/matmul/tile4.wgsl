// A thread computes 4 x 4 elements of C.

const TILE: u32 = 4u;

struct Tile {
  // Column i is row i of the tile.
  q: mat4x4<f32>,
}

fn tile_step(t: ptr<function, Tile>, m: u32, n: u32, k: u32) {
  (*t).q = add_product((*t).q, side_a(m, k), side_b(n, k));
}

fn tile_store(t: Tile, m: u32, n: u32) {
  store_quad(m, n, t.q);
}
