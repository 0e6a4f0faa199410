// Takes what the shards that own the rows' labels say of them. One thread per row.
//
// Dispatch: ceil(N / WG) workgroups, once the statistics of all shards are together.

@group(0) @binding(2) var<storage, read_write> rows_out: array<u32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;

fn adopt_row(field: u32, row: u32, shard: u32, record: u32) {
  rows_out[field * window.rows + row] = statistics[statistics_place(shard, record, row)];
}

fn adopt_saved(field: u32, row: u32, shard: u32, record: u32) {
  saved[field * window.rows + row] = statistics[statistics_place(shard, record, row)];
}

fn adopt(label: u32, row: u32) {
  let at = SLOT_FIELDS + label * RECORD_FIELDS;
  for (var shard = 0u; shard < window.shards; shard++) {
    if (statistics[statistics_place(shard, at + RECORD_OWNED, row)] != 0u) {
      let field = label * FIELDS_PER_LABEL;
      adopt_row(field + FIELD_MARGIN, row, shard, at + RECORD_MARGIN);
      adopt_row(field + FIELD_WEIGHT, row, shard, at + RECORD_WEIGHT);
      adopt_row(field + FIELD_SMOOTHING, row, shard, at + RECORD_SMOOTHING);
      adopt_row(field + FIELD_INVERSE_POWER, row, shard, at + RECORD_INVERSE_POWER);
      adopt_saved(SAVED_LABELS + 2u * label, row, shard, at + RECORD_V);
      adopt_saved(SAVED_LABELS + 2u * label + 1u, row, shard, at + RECORD_SEEN);
    }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + local.x;
  if (row >= window.rows) {
    return;
  }
  adopt(0u, row);
  if (MIXED_TARGETS) {
    adopt(1u, row);
  }
}
