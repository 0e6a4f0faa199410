// What each row counts in a denominator that depends on the labels: kept rows, or their class weights.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;

fn row_value(field: u32, row: u32) -> f32 {
  return bitcast<f32>(rows_in[field * window.rows + row]);
}

fn row_label(field: u32, row: u32) -> i32 {
  return bitcast<i32>(rows_in[(field + FIELD_LABEL) * window.rows + row]);
}

fn part(field: u32, row: u32) -> f32 {
  if (row_label(field, row) < 0) {
    return 0.0;
  }
  return row_value(field + FIELD_WEIGHT, row);
}

fn item_count() -> u32 {
  return window.rows;
}

fn item(row: u32) -> f32 {
  if (SOFT_TARGETS) {
    return 1.0;
  }
  if (spec.reduction == REDUCTION_KEPT) {
    var kept = row_label(0u, row) >= 0;
    if (MIXED_TARGETS) {
      kept = kept || row_label(FIELDS_PER_LABEL, row) >= 0;
    }
    return select(0.0, 1.0, kept);
  }
  if (MIXED_TARGETS) {
    let lambda = row_value(FIELDS_PER_LABEL + FIELD_FEATURE, row);
    return lambda * part(0u, row) + (1.0 - lambda) * part(FIELDS_PER_LABEL, row);
  }
  return part(0u, row);
}
