// Products of f16 by cooperative matrices (tensor cores), accumulated in f32.
//
// A workgroup has SUBGROUPS_M x SUBGROUPS_N subgroups of SUBGROUP threads; each computes 2 x 2 matrices of COOP x
// COOP elements of C. A and B come by way of workgroup memory, where what is outside of them is 0; C leaves by way of
// it, because an element of a cooperative matrix cannot be addressed.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions.

// slab_a[k * GROUP_M + m], slab_b[k * GROUP_N + n]
var<workgroup> slab_a: array<f16, GROUP_M * DEPTH>;
var<workgroup> slab_b: array<f16, GROUP_N * DEPTH>;
// One matrix of C for each subgroup.
var<workgroup> outcome: array<f32, COOP * COOP * SUBGROUPS_M * SUBGROUPS_N>;

fn put_a(at: u32, values: vec4<f32>) {
  slab_a[at] = f16(values.x);
  slab_a[at + 1u] = f16(values.y);
  slab_a[at + 2u] = f16(values.z);
  slab_a[at + 3u] = f16(values.w);
}

fn put_b(at: u32, values: vec4<f32>) {
  slab_b[at] = f16(values.x);
  slab_b[at + 1u] = f16(values.y);
  slab_b[at + 2u] = f16(values.z);
  slab_b[at + 3u] = f16(values.w);
}

// Which block of 4 x 4 a thread fetches: neighbours along the rows in memory.
fn block_place(block: u32, size: u32, along_k: bool) -> vec2<u32> {
  if (along_k) {
    return 4u * vec2<u32>(block / (DEPTH / 4u), block % (DEPTH / 4u));
  }
  return 4u * vec2<u32>(block % (size / 4u), block / (size / 4u));
}

fn fill(place: vec2<u32>, k: u32, thread: u32) {
  for (var block = thread; block < GROUP_M * DEPTH / 16u; block += WG) {
    let at = block_place(block, GROUP_M, A_ALONG_K);
    let values = block_a(place.x + at.x, k + at.y);
    for (var i = 0u; i < 4u; i += 1u) {
      put_a((at.y + i) * GROUP_M + at.x, values[i]);
    }
  }
  for (var block = thread; block < GROUP_N * DEPTH / 16u; block += WG) {
    let at = block_place(block, GROUP_N, B_ALONG_K);
    let values = block_b(place.y + at.x, k + at.y);
    for (var i = 0u; i < 4u; i += 1u) {
      put_b((at.y + i) * GROUP_N + at.x, values[i]);
    }
  }
}

// The lanes of a subgroup write the matrix that it has left in workgroup memory.
fn write_outcome(m: u32, n: u32, subgroup: u32, lane: u32) {
  for (var quad = lane; quad < COOP * COOP / 4u; quad += SUBGROUP) {
    let at = subgroup * COOP * COOP + 4u * quad;
    let value = vec4<f32>(outcome[at], outcome[at + 1u], outcome[at + 2u], outcome[at + 3u]);
    store_row(m + 4u * quad / COOP, n + 4u * quad % COOP, value);
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let thread = local.x;
  let index = group.x + group.y * groups.x;
  if (index >= params.tiles) {
    return;
  }
  let place = group_place(index);
  let own = 2u * COOP * vec2<u32>(subgroup / SUBGROUPS_N, subgroup % SUBGROUPS_N);
  // Zeros by way of memory: not every driver knows the zero value of a cooperative matrix.
  for (var at = thread; at < COOP * COOP * SUBGROUPS_M * SUBGROUPS_N; at += WG) {
    outcome[at] = 0.0;
  }
  workgroupBarrier();
  let zero = coopLoadT<CoopC>(&outcome[subgroup * COOP * COOP], COOP);
  var c00 = zero;
  var c01 = zero;
  var c10 = zero;
  var c11 = zero;
  for (var start = 0u; start < params.k; start += DEPTH) {
    workgroupBarrier();
    fill(place, start, thread);
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k += COOP) {
      let a0 = coopLoad<CoopA>(&slab_a[k * GROUP_M + own.x], GROUP_M);
      let a1 = coopLoad<CoopA>(&slab_a[k * GROUP_M + own.x + COOP], GROUP_M);
      let b0 = coopLoadT<CoopB>(&slab_b[k * GROUP_N + own.y], GROUP_N);
      let b1 = coopLoadT<CoopB>(&slab_b[k * GROUP_N + own.y + COOP], GROUP_N);
      c00 = coopMultiplyAdd(a0, b0, c00);
      c01 = coopMultiplyAdd(a0, b1, c01);
      c10 = coopMultiplyAdd(a1, b0, c10);
      c11 = coopMultiplyAdd(a1, b1, c11);
    }
  }
  let m = place.x + own.x;
  let n = place.y + own.y;
  coopStoreT(c00, &outcome[subgroup * COOP * COOP], COOP);
  workgroupBarrier();
  write_outcome(m, n, subgroup, lane);
  workgroupBarrier();
  coopStoreT(c01, &outcome[subgroup * COOP * COOP], COOP);
  workgroupBarrier();
  write_outcome(m, n + COOP, subgroup, lane);
  workgroupBarrier();
  coopStoreT(c10, &outcome[subgroup * COOP * COOP], COOP);
  workgroupBarrier();
  write_outcome(m + COOP, n, subgroup, lane);
  workgroupBarrier();
  coopStoreT(c11, &outcome[subgroup * COOP * COOP], COOP);
  workgroupBarrier();
  write_outcome(m + COOP, n + COOP, subgroup, lane);
}
