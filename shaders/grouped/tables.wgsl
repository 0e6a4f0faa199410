// Where things are in a row: segments by column, targets by label.

fn segment_of(column: u32) -> u32 {
  return tables[spec.column_segments + column];
}

fn segment_start(segment: u32) -> u32 {
  return tables[spec.starts + segment];
}

fn has_others(segment: u32) -> bool {
  return (tables[spec.segment_flags + segment] & SEGMENT_OTHERS) != 0u;
}

fn is_sampled(segment: u32) -> bool {
  return (tables[spec.segment_flags + segment] & SEGMENT_SAMPLED) != 0u;
}

// The column that a label should have in a segment, and whether it is its own.
struct Target {
  segment: u32,  // NONE where it takes no part
  column: u32,
  own: bool,
}

// Of one of its own columns. The others' column may be one.
fn own_target(segment: u32, column: u32) -> Target {
  return Target(segment, column, !(has_others(segment) && column == segment_start(segment)));
}

// In a slot. With others a segment is a slot of its own.
fn target_in_slot(label: u32, slot: u32) -> Target {
  let end = tables[spec.label_starts + label + 1u];
  for (var i = tables[spec.label_starts + label]; i < end; i++) {
    let column = tables[spec.label_columns + i];
    let segment = segment_of(column);
    if (tables[spec.segment_slots + segment] == slot) {
      return own_target(segment, column);
    }
  }
  if (HAS_OTHERS && has_others(slot)) {
    return Target(slot, segment_start(slot), false);
  }
  return Target(NONE, NONE, false);
}

// In the slot of a segment: in that segment, in another one of the slot, or in none.
fn target_beside(label: u32, segment: u32) -> Target {
  return target_in_slot(label, tables[spec.segment_slots + segment]);
}
