// A row's first and last element, where they share their word with others.

fn held_at(row: Row, segment: u32) -> Held {
  let slot = tables[spec.segment_slots + segment];
  if (load_saved(saved_slot(slot, SLOT_SEGMENT), row.rows) != segment) {
    return Held(segment, NONE, 0.0, 0.0, 0.0);
  }
  return held_in(row, slot);
}

fn column_gradient(row: Row, factor: f32, j: u32, z: f32) -> f32 {
  return held_gradient(factor, held_at(row, segment_of(j)), j, z);
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
