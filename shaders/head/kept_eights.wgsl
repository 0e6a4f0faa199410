// The rows of a broadcast product stay on chip.

fn store_eight(m: u32, n: u32, rows: Eight) {
  store_quad(m, n, rows.low);
  store_quad(m + 4u, n, rows.high);
}

// 32 rows.
fn store_eights(m: u32, n: u32, lane: u32, a: Eight, b: Eight, c: Eight, d: Eight) {
  store_eight(m, n, a);
  store_eight(m + 8u, n, b);
  store_eight(m + 16u, n, c);
  store_eight(m + 24u, n, d);
}
