// The rows of a broadcast product on their way to C.

// The threads read what the eight rows meet at their end, a row each, and hand it over.
fn store_eight(m: u32, n: u32, lane: u32, rows: Eight, column: ColumnEnd) {
  let own = row_end(m + lane);
  store_ended(m, n, rows.low[0], subgroupBroadcast(own, 0u), column);
  store_ended(m + 1u, n, rows.low[1], subgroupBroadcast(own, 1u), column);
  store_ended(m + 2u, n, rows.low[2], subgroupBroadcast(own, 2u), column);
  store_ended(m + 3u, n, rows.low[3], subgroupBroadcast(own, 3u), column);
  store_ended(m + 4u, n, rows.high[0], subgroupBroadcast(own, 4u), column);
  store_ended(m + 5u, n, rows.high[1], subgroupBroadcast(own, 5u), column);
  store_ended(m + 6u, n, rows.high[2], subgroupBroadcast(own, 6u), column);
  store_ended(m + 7u, n, rows.high[3], subgroupBroadcast(own, 7u), column);
}

// 32 rows.
fn store_eights(m: u32, n: u32, lane: u32, a: Eight, b: Eight, c: Eight, d: Eight) {
  let column = column_end(n);
  store_eight(m, n, lane, a, column);
  store_eight(m + 8u, n, lane, b, column);
  store_eight(m + 16u, n, lane, c, column);
  store_eight(m + 24u, n, lane, d, column);
}
