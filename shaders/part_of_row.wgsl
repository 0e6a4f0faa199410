// What a workgroup leaves of a part of a row, in a slot.

struct Found {
  bad: B,
  best: F,
  index: U,
}

fn found_over_workgroup(thread: u32, scan: Scan) -> Found {
  var found = Found(any_over_workgroup(thread, has_bad_logit(scan)), F(NEG_MAX), U(0u));
  if (WANT_ARGMAX) {
    found.best = max_over_workgroup(thread, scan.best);
    found.index = argmax_over_workgroup(thread, scan.best, scan.index) + U(window.first_class);
  }
  return found;
}

fn store_slot(slot: u32, field: u32, row: Row, bits: U) {
  store_saved(slot_field(slot, field), row.rows, bits, row.live);
}

fn store_part(slot: u32, row: Row, mass: Mass, found: Found) {
  store_slot(slot, SLOT_MAX, row, bits_of(mass.max));
  store_slot(slot, SLOT_SUM, row, bits_of(mass.sum));
  if (TWO_STEP) {
    store_slot(slot, SLOT_RAW, row, bits_of(mass.raw));
  }
  if (HAS_DENSE) {
    store_slot(slot, SLOT_WEIGHT, row, bits_of(mass.weight));
    store_slot(slot, SLOT_CROSS, row, bits_of(mass.cross));
  }
  if (!AGAIN) {
    store_slot(slot, SLOT_BAD, row, select(U(0u), U(1u), found.bad));
  }
  if (WANT_ARGMAX) {
    store_slot(slot, SLOT_BEST, row, bits_of(found.best));
    store_slot(slot, SLOT_INDEX, row, found.index);
  }
}
