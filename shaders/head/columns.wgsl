// Sums over the rows of a chunk for each of some classes, added to those of the chunks before, and the gradient by similarities in
// place of that by logits: times the margin's slope, but without scales, which the weights' factors have.
//
// columns[field * classes + class]: 0 the gradient, 1 the gradient times the margin's slope and the features' squared norm,
// 2 the gradient times what the margin's slope leaves.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for COLUMNS classes, whose rows LANES
// threads share.

var<workgroup> column_sums: array<vec3<f32>, WG>;

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
  var sum = vec3<f32>(0.0);
  if (column < params.classes) {
    for (var i = lane; i < params.m; i += LANES) {
      let row = params.first_row + i;
      let at = i * params.logits_stride + column;
      let slope = logits[at];
      var inner = slope;
      var rest = 0.0;
      if (is_label(row, column)) {
        inner = slope * label_slope(row);
        rest = slope * label_rest(row);
        logits[at] = inner;
      }
      sum += vec3<f32>(slope, inner * row_square(row), rest);
    }
  }
  column_sums[thread] = sum;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      column_sums[thread] += column_sums[thread + half * COLUMNS];
    }
    workgroupBarrier();
  }
  if (lane > 0u || column >= params.classes) {
    return;
  }
  sum = column_sums[thread];
  for (var field = 0u; field < 3u; field += 1u) {
    let at = field * params.classes + column;
    if (params.accumulate != 0u) {
      columns[at] += sum[field];
    } else {
      columns[at] = sum[field];
    }
  }
}
