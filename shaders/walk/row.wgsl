// A row for kernels that walk along it with one row per thread: where it lies.

struct Row {
  rows: U,
  live: B,
  logits: U,
  gradient: U,
  dense: U,
  shift: u32,
}

fn open_row(group: u32) -> Row {
  var row: Row;
  row.rows = lane_rows(group);
  row.live = live_lanes(group);
  row.logits = window.logits_origin + row.rows * window.logits_stride;
  row.gradient = window.gradient_origin + row.rows * window.gradient_stride;
  row.dense = window.dense_origin + row.rows * window.dense_stride;
  row.shift = pair_shift(first_lane(row.logits), first_lane(row.gradient));
  return row;
}

// Nothing is drawn here; lanes1.wgsl asks for the generator.
fn threefry(c0: u32, c1: u32) -> vec2<u32> {
  return vec2<u32>(c0, c1);
}

// Whether a number is NaN or +inf, by its bits; -inf is a legal mask.
fn is_bad_bits(bits: u32) -> bool {
  return (bits & 0x7fffffffu) > 0x7f800000u || bits == 0x7f800000u;
}

// NaN of either sign or either infinity.
fn is_not_finite_bits(bits: u32) -> bool {
  return (bits & 0x7fffffffu) >= 0x7f800000u;
}
