// What shards exchange: a slot for each shard, [shards, fields, N]. A shard writes its own and leaves the others 0, so
// that any bitwise or integer sum over the shards puts them together.
@group(0) @binding(9) var<storage, read_write> statistics: array<u32>;

fn statistics_place(shard: u32, field: u32, row: u32) -> u32 {
  return (shard * STATISTICS_FIELDS + field) * window.batch_rows + window.batch_row + row;
}
