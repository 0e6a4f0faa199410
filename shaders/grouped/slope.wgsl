// The gradient of one column of a row, but for the upstream factor.

fn segment_part(row: Row, j: u32, segment: u32, z: f32) -> f32 {
  let slot = tables[spec.segment_slots + segment];
  if (load_saved(saved_slot(slot, SLOT_SEGMENT), row.rows) != segment) {
    return 0.0;
  }
  if (load_saved(saved_slot(slot, SLOT_TARGET), row.rows) == j) {
    return saved_number(row, saved_slot(slot, SLOT_FIRST));
  }
  let coefficient = saved_number(row, saved_slot(slot, SLOT_COEFFICIENT));
  return coefficient * exp(unmasked(z) - saved_number(row, saved_slot(slot, SLOT_REFERENCE)));
}

// A sum over the leaves below; wide ones have been summed up.
fn tree_part(row: Row, j: u32, segment: u32) -> f32 {
  if (row.label < 0 || !is_path_open(row, segment)) {
    return 0.0;
  }
  var sum = 0.0;
  let number = tables[spec.column_wide + j];
  if (number != NONE) {
    sum = saved_number(row, saved_wide(number));
  } else {
    let end = tables[spec.runs + 2u * j + 1u];
    for (var place = tables[spec.runs + 2u * j]; place < end; place++) {
      sum += leaf_slope(row, place);
    }
  }
  return saved_number(row, SAVED_LEAF_COEFFICIENT) * sum;
}

fn column_gradient(row: Row, factor: f32, j: u32, z: f32) -> f32 {
  if (is_nan(saved_number(row, SAVED_LOSS))) {
    return bitcast<f32>(window.nan);
  }
  let segment = segment_of(j);
  var slope = segment_part(row, j, segment, z);
  if (HAS_TREE) {
    slope += tree_part(row, j, segment);
  }
  return factor * slope;
}

// The first and the last element of a row whose word it does not own, for `stitch`. One thread per row does this.
fn save_edges(row: Row, factor: f32) {
  if (!GRADIENT_PACKED) {
    return;
  }
  if (row.shift == 1u) {
    let first = column_gradient(row, factor, 0u, load_logit(row.logits));
    store_saved(SAVED_EDGES, row.rows, gradient_bits_of(first), row.live);
  }
  if (((row.shift + window.classes) & 1u) == 1u) {
    let j = window.classes - 1u;
    let last = column_gradient(row, factor, j, load_logit(row.logits + j));
    store_saved(SAVED_EDGES + 1u, row.rows, gradient_bits_of(last), row.live);
  }
}
