// Puts what this shard knows of its rows into its slot of the statistics: its own slots merged, and for each label
// that is one of its classes what the other shards need of it. One workgroup per row.
//
// Dispatch: N workgroups, after `partial`.

fn put(field: u32, row: u32, bits: u32) {
  statistics[statistics_place(window.shard, field, row)] = bits;
}

fn put_record(label: u32, row: u32, number: i32) {
  let at = SLOT_FIELDS + label * RECORD_FIELDS;
  let column = number - i32(window.own_first_class);
  let owned = number >= 0 && column >= 0 && column < i32(window.own_classes);
  put(at + RECORD_OWNED, row, select(0u, 1u, owned));
  if (owned) {
    let field = label * FIELDS_PER_LABEL;
    put(at + RECORD_V, row, load_saved(label_field(label, LABEL_V), row));
    put(at + RECORD_SEEN, row, load_saved(label_field(label, LABEL_SEEN), row));
    put(at + RECORD_MARGIN, row, bits_of(load_row(field + FIELD_MARGIN, row)));
    put(at + RECORD_WEIGHT, row, bits_of(load_row(field + FIELD_WEIGHT, row)));
    put(at + RECORD_SMOOTHING, row, bits_of(load_row(field + FIELD_SMOOTHING, row)));
    put(at + RECORD_INVERSE_POWER, row, bits_of(load_row(field + FIELD_INVERSE_POWER, row)));
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let row = linear_workgroup(id, count);
  if (row >= window.rows) {
    return;
  }
  let total = merge_over_workgroup(thread, mass_of_slots(thread, row));
  let scan = scan_of_slots(thread, row);
  let bad = any_over_workgroup(thread, has_bad_logit(scan));
  var best = NEG_MAX;
  var index = 0u;
  if (WANT_ARGMAX) {
    best = max_over_workgroup(thread, scan.best);
    index = argmax_over_workgroup(thread, scan.best, scan.index);
  }
  if (thread != 0u) {
    return;
  }
  put(SLOT_MAX, row, bits_of(total.max));
  put(SLOT_SUM, row, bits_of(total.sum));
  put(SLOT_BAD, row, select(0u, 1u, bad));
  if (TWO_STEP) {
    put(SLOT_RAW, row, bits_of(total.raw));
  }
  if (HAS_DENSE) {
    put(SLOT_WEIGHT, row, bits_of(total.weight));
    put(SLOT_CROSS, row, bits_of(total.cross));
  }
  if (WANT_ARGMAX) {
    put(SLOT_BEST, row, bits_of(best));
    put(SLOT_INDEX, row, index);
  }
  if (!SOFT_TARGETS) {
    put_record(0u, row, load_row_int(FIELD_LABEL, row));
  }
  if (MIXED_TARGETS) {
    put_record(1u, row, load_row_int(FIELDS_PER_LABEL + FIELD_LABEL, row));
  }
}
