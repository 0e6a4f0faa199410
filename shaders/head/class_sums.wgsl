// The sums of each class's features, and how many there are, added to what is there.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions, one for each class.

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let kind = group.x + group.y * groups.x;
  if (kind >= params.tiles) {
    return;
  }
  for (var column = thread; column < params.k; column += WG) {
    var sum = 0.0;
    for (var row = 0u; row < params.m; row += 1u) {
      if (is_label(row, kind)) {
        sum += factor_of(row) * load_a(row, column).x;
      }
    }
    sums[kind * params.k + column] += sum;
  }
  if (thread == 0u) {
    var count = 0u;
    for (var row = 0u; row < params.m; row += 1u) {
      count += select(0u, 1u, is_label(row, kind));
    }
    counts[kind] += count;
  }
}
