// Denominator and largest weight (total_rows.wgsl).
//
// Dispatch: one workgroup for each range of rows, after the rows are prepared.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;

fn read_row(field: u32, row: u32) -> f32 {
  return bitcast<f32>(rows_in[field * window.rows + row]);
}

fn label_of_row(row: u32) -> i32 {
  return bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]);
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  total_rows(local.x);
}
