// From the products of rows to the logits of a class: each lane is a row.

// What a row brings to its logits.
struct Lengths {
  factor: F,
  square: F,
}

fn open_lengths(row: Row) -> Lengths {
  return Lengths(row_factors(row.rows), row_lengths(row.rows));
}

// `factor` normalises the class's weights.
fn logits_of(row: Row, lengths: Lengths, j: u32, factor: f32, product: F) -> F {
  var similarity = product * (lengths.factor * factor);
  if (DISTANCE) {
    similarity = 2.0 * similarity - lengths.square - of_class(CLASS_SQUARE, j);
  }
  if (HAS_MARGIN) {
    let label = is_label(at_label(row, j));
    if (any_lane(label)) {
      similarity = select(similarity, with_margins(similarity), label);
    }
  }
  var logits = params.scale * similarity;
  if (HEAD_BIAS && SCALES_BIAS) {
    logits += of_class(CLASS_BIAS, j);
  }
  if (HEAD_SCALE) {
    logits *= of_class(CLASS_SCALE, j);
  }
  if (HEAD_BIAS && !SCALES_BIAS) {
    logits += of_class(CLASS_BIAS, j);
  }
  return logits;
}
