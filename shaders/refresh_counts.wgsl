// The column log n_j of the class table from the cumulative counts; counts below 1 count as 1.
//
// Dispatch: ceil(K / WG) workgroups, after count_labels.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> classes: array<f32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let j = linear_workgroup(id, count) * WG + thread;
  if (j >= params.classes) {
    return;
  }
  let n = f32(counts[2u * j]) + f32(counts[2u * j + 1u]) * 4294967296.0;
  classes[COLUMN_LOG_COUNT * params.classes + j] = log(max(n, 1.0));
}
