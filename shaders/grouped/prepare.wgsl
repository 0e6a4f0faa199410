// One thread per row: reads and checks its label, lays label and weight down. Also, once, the draws' key.
//
// Dispatch: ceil(N / WG) workgroups for each window, before everything else.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows_out: array<u32>;
@group(0) @binding(4) var<storage, read> labels: array<i32>;
@group(0) @binding(7) var<storage, read> row_weights: array<f32>;

fn start_pass() {
  // Every row's part of the reduced loss has its denominators in it.
  scalars[SCALAR_INVERSE] = bitcast<u32>(1.0);
  let low = scalars[SCALAR_STEP_LOW];
  let high = scalars[SCALAR_STEP_HIGH];
  let key = threefry_under(spec.seed_low, spec.seed_high, low, high);
  scalars[SCALAR_KEY_0] = key.x;
  scalars[SCALAR_KEY_1] = key.y;
  scalars[SCALAR_STEP_LOW] = low + 1u;
  scalars[SCALAR_STEP_HIGH] = high + select(0u, 1u, low == 0xffffffffu);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let row = linear_workgroup(id, count) * WG + local.x;
  if (row == 0u && (window.flags & FLAG_FIRST_WINDOW) != 0u) {
    start_pass();
  }
  if (row >= window.rows) {
    return;
  }
  let given = row + window.row_shift;
  var weight = 1.0;
  if ((spec.flags & FLAG_ROW_WEIGHTS) != 0u) {
    weight = row_weights[given];
  }
  rows_out[FIELD_LABEL * window.rows + row] = bitcast<u32>(checked_label(labels[given]));
  rows_out[FIELD_WEIGHT * window.rows + row] = bitcast<u32>(weight);
}
