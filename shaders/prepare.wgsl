// One thread per row: reads labels and per-row inputs, checks the labels, and lays down what the row kernels need,
// as rows_in[field * N + n]. Also, once, the denominator where it is known beforehand and the gates' key.
//
// Dispatch: ceil(N / WG) workgroups for each window, before every forward pass. The first window of some rows lays
// down everything, with defaults for labels that are no classes of it; the others add what they know of theirs.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows_out: array<u32>;
@group(0) @binding(3) var<storage, read> classes: array<f32>;
@group(0) @binding(4) var<storage, read> labels: array<i32>;
@group(0) @binding(5) var<storage, read> second_labels: array<i32>;
@group(0) @binding(6) var<storage, read> lambdas: array<f32>;
@group(0) @binding(7) var<storage, read> row_weights: array<f32>;
@group(0) @binding(8) var<storage, read> feature_norms: array<f32>;

fn store_row(field: u32, row: u32, value: f32) {
  rows_out[field * window.rows + row] = bitcast<u32>(value);
}

fn store_row_int(field: u32, row: u32, value: i32) {
  rows_out[field * window.rows + row] = bitcast<u32>(value);
}

// The column of a class that this window has; negative without one.
fn column_of(label: i32) -> i32 {
  let column = label - i32(window.first_class);
  return select(-1, column, label >= 0 && column < i32(window.classes));
}

fn class_value(table: u32, column: i32, default_value: f32) -> f32 {
  if (table == NO_COLUMN || column < 0) {
    return default_value;
  }
  return classes[table * window.classes + u32(column)];
}

fn checked_label(label: i32) -> i32 {
  if ((spec.flags & FLAG_IGNORE_INDEX) != 0u && label == spec.ignore_index) {
    return LABEL_NONE;
  }
  if (label < 0 || label >= i32(window.total_classes)) {
    return LABEL_BAD;
  }
  return label;
}

fn store_class_values(field: u32, row: u32, label: i32) {
  let column = column_of(label);
  let weight = class_value(spec.weight_column, column, 1.0);
  store_row(field + FIELD_MARGIN, row, class_value(spec.margin_column, column, 0.0));
  store_row(field + FIELD_WEIGHT, row, select(0.0, weight, label >= 0));
  store_row(field + FIELD_SMOOTHING, row, class_value(spec.smoothing_column, column, spec.label_smoothing));
  if (HAS_MITIGATION) {
    store_row(field + FIELD_INVERSE_POWER, row, 1.0 / class_value(COLUMN_POWER, column, 1.0));
  }
}

fn store_label(field: u32, row: u32, label: i32, share: f32, first_window: bool) {
  if (first_window) {
    store_row_int(field + FIELD_LABEL, row, label);
    store_row(field + FIELD_SHARE, row, select(0.0, share, label >= 0));
  }
  if (first_window || column_of(label) >= 0) {
    store_class_values(field, row, label);
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + local.x;
  if (row == 0u && (window.flags & FLAG_FIRST_WINDOW) != 0u) {
    start_pass();
  }
  if (row >= window.rows) {
    return;
  }
  let first_window = (window.flags & FLAG_FIRST_OF_ROWS) != 0u;
  let given = row + window.row_shift;
  var weight = 1.0;
  if ((spec.flags & FLAG_ROW_WEIGHTS) != 0u) {
    weight = row_weights[given];
  }
  var feature = 0.0;
  if ((spec.flags & FLAG_FEATURE_NORMS) != 0u) {
    feature = feature_norms[given];
  }
  if (first_window) {
    store_row(FIELD_FEATURE, row, feature);
  }
  if (SOFT_TARGETS) {
    store_row_int(FIELD_LABEL, row, LABEL_NONE);
    store_row(FIELD_SHARE, row, weight);
    store_row(FIELD_WEIGHT, row, 1.0);
    return;
  }
  let label = checked_label(labels[given]);
  if (MIXED_TARGETS) {
    let lambda = lambdas[given];
    store_label(0u, row, label, weight * lambda, first_window);
    let second = checked_label(second_labels[given]);
    store_label(FIELDS_PER_LABEL, row, second, weight * (1.0 - lambda), first_window);
    // The denominators count a row's labels by their shares, without row weights.
    store_row(FIELDS_PER_LABEL + FIELD_FEATURE, row, lambda);
  } else {
    store_label(0u, row, label, weight, first_window);
  }
}
