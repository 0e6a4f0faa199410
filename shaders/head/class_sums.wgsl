// The sums of each class's features, and how many there are, added to what is there.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for each WG columns of a class.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let index = group.x + group.y * groups.x;
  if (index >= params.tiles) {
    return;
  }
  let blocks = (params.k + WG - 1u) / WG;
  let kind = index / blocks;
  let column = (index % blocks) * WG + local.x;
  if (column >= params.k) {
    return;
  }
  var sum = 0.0;
  var count = 0u;
  for (var row = 0u; row < params.m; row += 1u) {
    if (is_label(row, kind)) {
      sum += factor_of(row) * load_a(row, column).x;
      count += 1u;
    }
  }
  sums[kind * params.k + column] += sum;
  if (column == 0u) {
    counts[kind] += count;
  }
}
