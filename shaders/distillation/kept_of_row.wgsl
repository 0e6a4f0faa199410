// What each row counts in the divergence's denominator: 1 where it has a label, or soft targets.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;

fn item_count() -> u32 {
  return window.rows;
}

fn item(row: u32) -> f32 {
  if (SOFT_TARGETS) {
    return 1.0;
  }
  var kept = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]) >= 0;
  if (MIXED_TARGETS) {
    kept = kept || bitcast<i32>(rows_in[(FIELDS_PER_LABEL + FIELD_LABEL) * window.rows + row]) >= 0;
  }
  return select(0.0, 1.0, kept);
}
