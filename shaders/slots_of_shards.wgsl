// The slots of all shards.

fn slot_count() -> u32 {
  return window.shards;
}

fn slot_bits(slot: u32, field: u32, row: u32) -> u32 {
  return statistics[statistics_place(slot, field, row)];
}
