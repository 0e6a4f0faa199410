// The column (n_j / 2^32)^p of the class table from the cumulative counts; counts below 1 count as 1. About 2^32,
// the middle of 64 bits, every count's power and its inverse stay within f32 for p up to 1.9.
//
// Dispatch: ceil(K / WG) workgroups for each range of classes, after count_labels.

@group(0) @binding(1) var<storage, read> counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> classes: array<f32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let j = linear_workgroup(id, count) * WG + local.x;
  if (j >= window.classes) {
    return;
  }
  let n = f32(counts[2u * j]) + f32(counts[2u * j + 1u]) * 4294967296.0;
  classes[COLUMN_POWER * window.classes + j] = exp(spec.seesaw_p * (log(max(n, 1.0)) - 22.18070977791825));
}
