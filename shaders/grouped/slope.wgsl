// The gradient of one column of a row, but for the upstream factor.

// A segment and what its columns share of the row.
struct Held {
  segment: u32,
  goal: u32,  // the target's column; NONE where the label takes no part
  reference: f32,
  coefficient: f32,
  first: f32,
}

fn held_in(row: Row, slot: u32) -> Held {
  return Held(
    load_saved(saved_slot(slot, SLOT_SEGMENT), row.rows),
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

// A row without a value is NaN as a whole: its factor is.
fn row_factor(row: Row) -> f32 {
  return select(load_upstream_lanes(row.rows), bitcast<f32>(window.nan), is_nan(saved_number(row, SAVED_LOSS)));
}

fn held_gradient(factor: f32, held: Held, j: u32, z: f32) -> f32 {
  return select(factor * segment_part(j, held, z), factor, is_nan(factor));
}
