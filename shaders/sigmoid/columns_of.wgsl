// What a class brings to every row; loaded once for all lanes. Absent terms cost nothing.

struct Column {
  bias: f32,
  margin: f32,
  weight: f32,
  positive_weight: f32,
  rebalance_slope: f32,  // beta / n_j
  positive: f32,  // P and Q of accumulated gradients
  negative: f32,
  tail: bool,
  group: u32,
}

fn load_column(j: u32) -> Column {
  var column: Column;
  column.weight = 1.0;
  column.positive_weight = 1.0;
  column.positive = 1.0;
  column.negative = 1.0;
  if (HAS_BIAS) {
    column.bias = class_value(COLUMN_BIAS, j);
  }
  if (HAS_MARGIN && !MARGIN_SUMMED) {
    column.margin = class_value(COLUMN_MARGIN, j);
  }
  if (HAS_CLASS_WEIGHTS) {
    column.weight = class_value(COLUMN_WEIGHT, j);
  }
  if (HAS_POSITIVE_WEIGHT) {
    column.positive_weight = class_value(COLUMN_POSITIVE_WEIGHT, j);
  }
  if (HAS_REBALANCE) {
    column.rebalance_slope = spec.rebalance_beta * class_value(COLUMN_INVERSE_COUNT, j);
  }
  if (HAS_BALANCE) {
    if (!POSITIVE_OF_ROW) {
      column.positive = class_value(COLUMN_POSITIVE, j);
    }
    column.negative = class_value(COLUMN_NEGATIVE, j);
  }
  if (HAS_GATE) {
    column.tail = class_value(COLUMN_TAIL, j) != 0.0;
  }
  if (HAS_DRAWS) {
    column.group = u32(class_value(COLUMN_GROUP, j));
  }
  return column;
}
