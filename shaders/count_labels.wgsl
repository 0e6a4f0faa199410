// Adds the batch's labels to the cumulative class counts: 64-bit integers as [low, high] pairs, exact and
// independent of the order. Labels that are no class of the window (ignored ones too) are not counted.
//
// Dispatch: ceil(N / WG) workgroups for each window, before refresh_counts.

@group(0) @binding(1) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;

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
  let label = labels[row + window.row_shift];
  let ignored = (spec.flags & FLAG_IGNORE_INDEX) != 0u && label == spec.ignore_index;
  let column = label - i32(window.first_class);
  if (ignored || label < 0 || column < 0 || column >= i32(window.classes)) {
    return;
  }
  let old = atomicAdd(&counts[2u * u32(column)], 1u);
  if (old == 0xffffffffu) {
    atomicAdd(&counts[2u * u32(column) + 1u], 1u);
  }
}
