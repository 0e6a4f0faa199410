// The gradient of one column of a row, but for the upstream factor.

// A segment and what its columns share of the row.
struct Held {
  segment: u32,
  goal: u32,  // the target's column; NONE where the label takes no part
  reference: f32,
  coefficient: f32,
  first: f32,
}

fn held_at(row: Row, segment: u32) -> Held {
  let slot = tables[spec.segment_slots + segment];
  if (load_saved(saved_slot(slot, SLOT_SEGMENT), row.rows) != segment) {
    return Held(segment, NONE, 0.0, 0.0, 0.0);
  }
  return Held(
    segment,
    load_saved(saved_slot(slot, SLOT_TARGET), row.rows),
    saved_number(row, saved_slot(slot, SLOT_REFERENCE)),
    saved_number(row, saved_slot(slot, SLOT_COEFFICIENT)),
    saved_number(row, saved_slot(slot, SLOT_FIRST)),
  );
}

fn segment_part(j: u32, held: Held, z: f32) -> f32 {
  let part = held.coefficient * exp(unmasked(z) - held.reference);
  return select(select(part, held.first, j == held.goal), 0.0, held.goal == NONE);
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

// A row without a value is NaN as a whole: its factor is.
fn row_factor(row: Row) -> f32 {
  return select(load_upstream_lanes(row.rows), bitcast<f32>(window.nan), is_nan(saved_number(row, SAVED_LOSS)));
}

fn held_gradient(row: Row, factor: f32, held: Held, j: u32, z: f32) -> f32 {
  var slope = segment_part(j, held, z);
  if (HAS_TREE) {
    slope += tree_part(row, j, held.segment);
  }
  return select(factor * slope, factor, is_nan(factor));
}

fn column_gradient(row: Row, factor: f32, j: u32, z: f32) -> f32 {
  return held_gradient(row, factor, held_at(row, segment_of(j)), j, z);
}

// The first and the last element of a row whose word it does not own, for `stitch`. One thread per row does this.
fn save_edges(row: Row, factor: f32) {
  if (!GRADIENT_PACKED) {
    return;
  }
  // One copy of the code for both.
  for (var which = 0u; which < 2u; which++) {
    let j = select(0u, window.classes - 1u, which == 1u);
    let wanted = select(row.shift, (row.shift + window.classes) & 1u, which == 1u);
    if (wanted == 1u) {
      let g = column_gradient(row, factor, j, load_logit(row.logits + j));
      store_saved(SAVED_EDGES + which, row.rows, gradient_bits_of(g), row.live);
    }
  }
}
