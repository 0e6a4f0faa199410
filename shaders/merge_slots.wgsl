// Merging a row's slots, the threads of a workgroup each some of them. Needs slots_own.wgsl or slots_of_shards.wgsl.

fn slot_float(slot: u32, field: u32, row: u32) -> f32 {
  return bitcast<f32>(slot_bits(slot, field, row));
}

// This thread's slots.
fn mass_of_slots(thread: u32, row: u32) -> Mass {
  var mass = no_mass();
  for (var slot = thread; slot < slot_count(); slot += WG) {
    var other = Mass(slot_float(slot, SLOT_MAX, row), slot_float(slot, SLOT_SUM, row), 0.0, 0.0, 0.0);
    if (TWO_STEP) {
      other.raw = slot_float(slot, SLOT_RAW, row);
    }
    if (HAS_DENSE) {
      other.weight = slot_float(slot, SLOT_WEIGHT, row);
      other.cross = slot_float(slot, SLOT_CROSS, row);
    }
    mass = merge(mass, other);
  }
  return mass;
}

fn scan_of_slots(thread: u32, row: u32) -> Scan {
  var scan = new_scan();
  for (var slot = thread; slot < slot_count(); slot += WG) {
    if (slot_bits(slot, SLOT_BAD, row) != 0u) {
      scan.largest_signed = bitcast<i32>(window.nan);
    }
    if (WANT_ARGMAX) {
      let best = slot_float(slot, SLOT_BEST, row);
      let index = slot_bits(slot, SLOT_INDEX, row);
      let better = best > scan.best || (best == scan.best && index < scan.index);
      scan.best = select(scan.best, best, better);
      scan.index = select(scan.index, index, better);
    }
  }
  return scan;
}
