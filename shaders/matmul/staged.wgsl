// Products by way of workgroup memory: a workgroup reads DEPTH columns of its rows of A and of B once for all its
// threads.

// slab_a[k * QUADS_M + m / 4] has four rows of C at k, slab_b four columns.
const QUADS_M: u32 = GROUP_M / 4u;
const QUADS_N: u32 = GROUP_N / 4u;
var<workgroup> slab_a: array<vec4<f32>, QUADS_M * DEPTH>;
var<workgroup> slab_b: array<vec4<f32>, QUADS_N * DEPTH>;

fn side_a(m: u32, k: u32) -> mat4x4<f32> {
  let at = k * QUADS_M + m / 4u;
  return mat4x4<f32>(slab_a[at], slab_a[at + QUADS_M], slab_a[at + 2u * QUADS_M], slab_a[at + 3u * QUADS_M]);
}

fn side_b(n: u32, k: u32) -> mat4x4<f32> {
  let at = k * QUADS_N + n / 4u;
  return mat4x4<f32>(slab_b[at], slab_b[at + QUADS_N], slab_b[at + 2u * QUADS_N], slab_b[at + 3u * QUADS_N]);
}

// Which block of 4 x 4 a thread fetches: neighbours along the rows in memory.
fn block_place(block: u32, quads: u32, along_k: bool) -> vec2<u32> {
  if (along_k) {
    return vec2<u32>(block / (DEPTH / 4u), block % (DEPTH / 4u));
  }
  return vec2<u32>(block % quads, block / quads);
}

// The threads after those that fetch the last blocks of A begin with B, so that both are under way at once.
const AFTER_A: u32 = (QUADS_M * DEPTH / 4u) % WG;

fn fill(place: vec2<u32>, k: u32, thread: u32) {
  for (var block = thread; block < QUADS_M * DEPTH / 4u; block += WG) {
    let quad = block_place(block, QUADS_M, A_ALONG_K);
    let values = block_a(place.x + 4u * quad.x, k + 4u * quad.y);
    let at = 4u * quad.y * QUADS_M + quad.x;
    slab_a[at] = values[0];
    slab_a[at + QUADS_M] = values[1];
    slab_a[at + 2u * QUADS_M] = values[2];
    slab_a[at + 3u * QUADS_M] = values[3];
  }
  for (var block = (thread + WG - AFTER_A) % WG; block < QUADS_N * DEPTH / 4u; block += WG) {
    let quad = block_place(block, QUADS_N, B_ALONG_K);
    let values = block_b(place.y + 4u * quad.x, k + 4u * quad.y);
    let at = 4u * quad.y * QUADS_N + quad.x;
    slab_b[at] = values[0];
    slab_b[at + QUADS_N] = values[1];
    slab_b[at + 2u * QUADS_N] = values[2];
    slab_b[at + 3u * QUADS_N] = values[3];
  }
}

// The part of C at `place`.
fn multiply(place: vec2<u32>, thread: u32) {
  let own = 4u * vec2<u32>(thread / THREADS_N, thread % THREADS_N);
  var tile: Tile;
  for (var start = 0u; start < params.k; start += DEPTH) {
    workgroupBarrier();
    fill(place, start, thread);
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k += 4u) {
      tile_step(&tile, own.x, own.y, k);
    }
  }
  tile_store(tile, place.x + own.x, place.y + own.y);
}
