// The mean of a batch's features, added to what is there times the momentum.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for COLUMNS columns, whose rows LANES
// threads share.

var<workgroup> lane_sums: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let thread = local.x;
  let index = group.x + group.y * groups.x;
  if (index >= params.tiles) {
    return;
  }
  let column = index * COLUMNS + thread % COLUMNS;
  let lane = thread / COLUMNS;
  var sum = 0.0;
  for (var row = lane; row < params.m; row += LANES) {
    sum += load_a(row, column).x;
  }
  lane_sums[thread] = sum;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      lane_sums[thread] += lane_sums[thread + half * COLUMNS];
    }
    workgroupBarrier();
  }
  if (lane == 0u && column < params.k) {
    mean[column] = params.momentum * mean[column] + lane_sums[thread] / f32(params.m);
  }
}
