// Products without workgroup memory: each thread reads what it multiplies.

fn side_a(m: u32, k: u32) -> mat4x4<f32> {
  return block_a(m, k);
}

fn side_b(n: u32, k: u32) -> mat4x4<f32> {
  return block_b(n, k);
}

// The part of C at `group`.
fn multiply(group: vec2<u32>, thread: u32) {
  let place = group + 4u * vec2<u32>(thread / THREADS_N, thread % THREADS_N);
  var tile: Tile;
  for (var k = 0u; k < params.k; k += 4u) {
    tile_step(&tile, place.x, place.y, k);
  }
  tile_store(tile, place.x, place.y);
}
