// The upstream gradient over the denominator, for each row. One thread per row.
//
// Dispatch: ceil(N / WG) workgroups for each range of rows, before a backward pass.

@group(0) @binding(1) var<storage, read> scalars: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows_out: array<u32>;
@group(0) @binding(8) var<storage, read> upstream: array<f32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + local.x;
  if (row < window.rows) {
    let factor = upstream[min(row + window.row_shift, arrayLength(&upstream) - 1u)];
    rows_out[FIELD_FACTOR * window.rows + row] = bitcast<u32>(bitcast<f32>(scalars[SCALAR_INVERSE]) * factor);
  }
}
