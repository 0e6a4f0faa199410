// Finds the rows' labels in this window and keeps their v, for rows that are split. One thread per row.
//
// Dispatch: ceil(N / WG) workgroups for each window, before its logits are changed.

fn keep(label: u32, rows: U, v: F, seen: F, live: bool) {
  store_saved(label_field(label, LABEL_V), rows, bits_of(v), live);
  store_saved(label_field(label, LABEL_SEEN), rows, bits_of(seen), live);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let group = linear_workgroup(id, count) * WG + local.x;
  if (!is_group(group)) {
    return;
  }
  let row = open_row(group);
  let labels = with_seen(row, label_logits(row));
  // The first window speaks for labels that are nowhere.
  let first_window = (window.flags & FLAG_FIRST_OF_ROWS) != 0u;
  keep(0u, row.rows, labels.first, labels.seen_first, row.live && (row.first >= 0 || first_window));
  if (MIXED_TARGETS) {
    keep(1u, row.rows, labels.second, labels.seen_second, row.live && (row.second >= 0 || first_window));
  }
}
