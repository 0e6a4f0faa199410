// The slots of this device's own windows and pieces.

fn slot_count() -> u32 {
  return window.slots;
}

fn slot_bits(slot: u32, field: u32, row: u32) -> u32 {
  return load_saved(slot_field(slot, field), row);
}
