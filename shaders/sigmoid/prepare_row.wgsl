// What a row's label alone decides. The first window of some rows lays down everything, the one that has the label's class
// adds the class's numbers; with SETTLES, where there is one window, the row's weight is made of them.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(4) var<storage, read> labels: array<i32>;
@group(0) @binding(7) var<storage, read> row_weights: array<f32>;

fn class_value(column: u32, j: u32) -> f32 {
  return classes[column * window.classes + j];
}

fn checked_label(label: i32) -> i32 {
  if ((spec.flags & FLAG_IGNORE_INDEX) != 0u && label == spec.ignore_index) {
    return LABEL_NONE;
  }
  if ((spec.flags & FLAG_BACKGROUND_LABEL) != 0u && label == spec.background_label) {
    return LABEL_BACKGROUND;
  }
  if (label < 0 || label >= i32(window.total_classes)) {
    return LABEL_BAD;
  }
  return label;
}

fn prepare_row(row: u32) {
  let given = row + window.row_shift;
  let label = checked_label(labels[given]);
  let in_column = (spec.flags & FLAG_BACKGROUND_COLUMN) != 0u && label == spec.background_column;
  if ((window.flags & FLAG_FIRST_OF_ROWS) != 0u) {
    var weight = 1.0;
    if ((spec.flags & FLAG_ROW_WEIGHTS) != 0u) {
      weight = row_weights[given];
    }
    weight = select(weight, 0.0, label == LABEL_NONE);
    rows_out[FIELD_LABEL * window.rows + row] = bitcast<u32>(label);
    store_row(FIELD_WEIGHT, row, select(weight, bitcast<f32>(window.nan), label == LABEL_BAD));
    store_row(FIELD_BACKGROUND, row, select(0.0, 1.0, in_column || label == LABEL_BACKGROUND));
    store_row(FIELD_RHO, row, spec.row_weight_of_none);
    store_row(FIELD_SHARE, row, 0.0);
    store_row(FIELD_MARGIN, row, 0.0);
    store_row(FIELD_COUNT, row, select(0.0, 1.0, label >= 0 && !in_column));
    store_row(FIELD_DRAWN, row, 0.0);
  }
  let column = label - i32(window.first_class);
  if (label >= 0 && column >= 0 && column < i32(window.classes)) {
    if (HAS_RHO) {
      store_row(FIELD_RHO, row, class_value(COLUMN_RHO, u32(column)));
    }
    if (HAS_REBALANCE) {
      store_row(FIELD_SHARE, row, class_value(COLUMN_INVERSE_COUNT, u32(column)));
    }
    if (HAS_MARGIN) {
      store_row(FIELD_MARGIN, row, class_value(COLUMN_MARGIN, u32(column)));
    }
  }
  if (SETTLES) {
    settle_row(row);
  }
}
