// The rows of each class as a chain, in their order. One thread per row.
//
// Dispatch: ceil(N / WG) workgroups.

@group(0) @binding(2) var<storage, read_write> rows_out: array<u32>;
@group(0) @binding(4) var<storage, read_write> saved: array<u32>;
@group(0) @binding(5) var<storage, read> labels: array<i32>;

fn label_of(row: u32) -> i32 {
  return labels[row + window.row_shift];
}

fn is_kept(label: i32) -> bool {
  return numbers.has_ignore_index == 0u || label != numbers.ignore_index;
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
  let label = label_of(row);
  let kept = is_kept(label);
  var first = NO_ROW;
  var next = NO_ROW;
  var size = 0u;
  if (kept) {
    for (var other = 0u; other < window.rows; other++) {
      if (label_of(other) == label) {
        first = min(first, other);
        size++;
        if (other > row) {
          next = min(next, other);
        }
      }
    }
  }
  // Every number is a label.
  rows_out[FIELD_LABEL * window.rows + row] = bitcast<u32>(select(LABEL_NONE, 0, kept));
  keep(SAVED_FIRST_ROW, row, first);
  keep(SAVED_NEXT_ROW, row, next);
  keep(SAVED_SIZE, row, size);
}
