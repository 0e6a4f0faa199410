// The gradient of one column of a row, but for the upstream factor.

// The segment that a thread is in, and what its columns share: neighbours most often have the same.
struct Held {
  begin: u32,
  end: u32,
  segment: u32,
  goal: u32,  // the target's column; NONE where the label takes no part
  reference: f32,
  coefficient: f32,
  first: f32,
}

fn no_segment() -> Held {
  return Held(0u, 0u, NONE, NONE, 0.0, 0.0, 0.0);
}

fn hold_segment(row: Row, j: u32, held: ptr<function, Held>) {
  if (j >= (*held).begin && j < (*held).end) {
    return;
  }
  let segment = segment_of(j);
  let slot = tables[spec.segment_slots + segment];
  *held = Held(segment_start(segment), segment_start(segment + 1u), segment, NONE, 0.0, 0.0, 0.0);
  if (load_saved(saved_slot(slot, SLOT_SEGMENT), row.rows) == segment) {
    (*held).goal = load_saved(saved_slot(slot, SLOT_TARGET), row.rows);
    (*held).reference = saved_number(row, saved_slot(slot, SLOT_REFERENCE));
    (*held).coefficient = saved_number(row, saved_slot(slot, SLOT_COEFFICIENT));
    (*held).first = saved_number(row, saved_slot(slot, SLOT_FIRST));
  }
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

fn column_gradient(row: Row, factor: f32, held: ptr<function, Held>, j: u32, z: f32) -> f32 {
  hold_segment(row, j, held);
  var slope = segment_part(j, *held, z);
  if (HAS_TREE) {
    slope += tree_part(row, j, (*held).segment);
  }
  return select(factor * slope, factor, is_nan(factor));
}

// The first and the last element of a row whose word it does not own, for `stitch`. One thread per row does this.
fn save_edges(row: Row, factor: f32) {
  var held = no_segment();
  if (!GRADIENT_PACKED) {
    return;
  }
  if (row.shift == 1u) {
    let first = column_gradient(row, factor, &held, 0u, load_logit(row.logits));
    store_saved(SAVED_EDGES, row.rows, gradient_bits_of(first), row.live);
  }
  if (((row.shift + window.classes) & 1u) == 1u) {
    let j = window.classes - 1u;
    let last = column_gradient(row, factor, &held, j, load_logit(row.logits + j));
    store_saved(SAVED_EDGES + 1u, row.rows, gradient_bits_of(last), row.live);
  }
}
