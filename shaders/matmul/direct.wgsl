// Products without workgroup memory: each thread reads what it multiplies.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions.

fn side_a(m: u32, k: u32) -> mat4x4<f32> {
  return block_a(m, k);
}

fn side_b(n: u32, k: u32) -> mat4x4<f32> {
  return block_b(n, k);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = group.x + group.y * groups.x;
  if (index >= params.tiles) {
    return;
  }
  let place = group_place(index) + 4u * vec2<u32>(thread / THREADS_N, thread % THREADS_N);
  var tile: Tile;
  for (var k = 0u; k < params.k; k += 4u) {
    tile_step(&tile, place.x, place.y, k);
  }
  tile_store(tile, place.x, place.y);
}
