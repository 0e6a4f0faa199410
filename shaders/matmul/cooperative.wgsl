// Products of f16 by cooperative matrices (tensor cores), accumulated in f32.
//
// A workgroup has SUBGROUPS_M x SUBGROUPS_N subgroups of SUBGROUP threads; each computes MATRICES_M x MATRICES_N matrices
// of COOP x COOP elements of C. A and B come by way of workgroup memory, eight halves at a time and in the order that they
// have in memory; what is outside of them is 0 there. While a slab is multiplied, the next one is on its way. C leaves by
// way of workgroup memory, because an element of a cooperative matrix cannot be addressed.
//
// A matrix is a variable of its own, so that it stays in registers. Lines from `each $x` to `end $x` stand for as many
// copies, with numbers from 0 on for $x: $i, $j for a subgroup's matrices along the rows and the columns of C, $k for
// those along a slab, $f, $g for the eights of A and of B that a thread fetches.
//
// Dispatch: params.tiles workgroups of WG threads in a grid of two dimensions.

// Rows of A_WIDTH eights, A_PITCH apart, which is odd: eights of neighbouring rows are in different banks. Not of words: naga
// takes the type of a matrix's elements from the memory that it is loaded from.
var<workgroup> slab_a: array<vec2<f16>, EIGHT * SLAB_A>;
var<workgroup> slab_b: array<vec2<f16>, EIGHT * SLAB_B>;
// Elements of these arrays in eight halves, and between the beginnings of rows.
const EIGHT: u32 = 4u;
const A_STRIDE: u32 = EIGHT * A_PITCH;
const B_STRIDE: u32 = EIGHT * B_PITCH;
// One matrix of C for each subgroup.
var<workgroup> outcome: array<f32, COOP * COOP * SUBGROUPS_M * SUBGROUPS_N>;

// Eights from a matrix to the next one of C, and to the next one along k.
const A_NEXT: u32 = select(COOP / 8u, COOP * A_PITCH, A_ALONG_K);
const A_DEEP: u32 = select(COOP * A_PITCH, COOP / 8u, A_ALONG_K);
const B_NEXT: u32 = select(COOP / 8u, COOP * B_PITCH, B_ALONG_K);
const B_DEEP: u32 = select(COOP * B_PITCH, COOP / 8u, B_ALONG_K);

// Row and column in A of the slab's eight `at`.
fn place_a(at: u32, m: u32, k: u32) -> vec2<u32> {
  let own = vec2<u32>(at / A_WIDTH, 8u * (at % A_WIDTH));
  if (A_ALONG_K) {
    return own + vec2<u32>(m, k);
  }
  return own + vec2<u32>(k, m);
}

fn place_b(at: u32, n: u32, k: u32) -> vec2<u32> {
  let own = vec2<u32>(at / B_WIDTH, 8u * (at % B_WIDTH));
  if (B_ALONG_K) {
    return own + vec2<u32>(n, k);
  }
  return own + vec2<u32>(k, n);
}

fn fetch_a(at: u32, m: u32, k: u32) -> vec4<u32> {
  let place = place_a(at, m, k);
  return eight_a(place.x, place.y);
}

fn fetch_b(at: u32, n: u32, k: u32) -> vec4<u32> {
  let place = place_b(at, n, k);
  return eight_b(place.x, place.y);
}

// The first `count` of eight halves, 0 for the others.
fn first_halves(words: vec4<u32>, count: u32) -> vec4<u32> {
  let low = vec4<u32>(0u, 2u, 4u, 6u) < vec4<u32>(count);
  let high = vec4<u32>(1u, 3u, 5u, 7u) < vec4<u32>(count);
  return (words & select(vec4<u32>(0u), vec4<u32>(0xffffu), low))
    | (words & select(vec4<u32>(0u), vec4<u32>(0xffff0000u), high));
}

// The same bits: naga has no bitcast between a word and two halves.
fn two_halves(word: u32) -> vec2<f16> {
  return vec2<f16>(unpack2x16float(word));
}

fn keep_a(to: u32, eight: vec4<u32>) {
  slab_a[EIGHT * to] = two_halves(eight.x);
  slab_a[EIGHT * to + 1u] = two_halves(eight.y);
  slab_a[EIGHT * to + 2u] = two_halves(eight.z);
  slab_a[EIGHT * to + 3u] = two_halves(eight.w);
}

fn keep_b(to: u32, eight: vec4<u32>) {
  slab_b[EIGHT * to] = two_halves(eight.x);
  slab_b[EIGHT * to + 1u] = two_halves(eight.y);
  slab_b[EIGHT * to + 2u] = two_halves(eight.z);
  slab_b[EIGHT * to + 3u] = two_halves(eight.w);
}

// What was fetched goes to the slab only when it is needed, and so does the question what of it is inside: nothing waits for
// memory before.
fn put_a(at: u32, m: u32, k: u32, words: vec4<u32>) {
  if (at < A_ROWS * A_WIDTH) {
    let place = place_a(at, m, k);
    let to = at / A_WIDTH * A_PITCH + at % A_WIDTH;
    let inside = place.x < a_rows() && place.y < a_columns();
    if (A_WHOLE) {
      keep_a(to, select(vec4<u32>(0u), words, inside));
    } else {
      keep_a(to, first_halves(words, select(0u, a_columns() - place.y, inside)));
    }
  }
}

fn put_b(at: u32, n: u32, k: u32, words: vec4<u32>) {
  if (at < B_ROWS * B_WIDTH) {
    let place = place_b(at, n, k);
    let to = at / B_WIDTH * B_PITCH + at % B_WIDTH;
    let inside = place.x < b_rows() && place.y < b_columns();
    if (B_WHOLE) {
      keep_b(to, select(vec4<u32>(0u), words, inside));
    } else {
      keep_b(to, first_halves(words, select(0u, b_columns() - place.y, inside)));
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
  let own = COOP * vec2<u32>(MATRICES_M * (subgroup / SUBGROUPS_N), MATRICES_N * (subgroup % SUBGROUPS_N));
  let mine = subgroup * COOP * COOP;
  let from_a = EIGHT * (own.x / COOP) * A_NEXT;
  let from_b = EIGHT * (own.y / COOP) * B_NEXT;
  // Zeros by way of memory: not every driver knows the zero value of a cooperative matrix.
  for (var at = thread; at < COOP * COOP * SUBGROUPS_M * SUBGROUPS_N; at += WG) {
    outcome[at] = 0.0;
  }
  workgroupBarrier();
  let zero = coopLoadT<CoopC>(&outcome[mine], COOP);
// each $i
// each $j
  var c$i$j = zero;
// end $j
// end $i
// each $f
  var held_a$f = vec4<u32>(0u);
// end $f
// each $g
  var held_b$g = vec4<u32>(0u);
// end $g
  if (params.k > 0u) {
// each $f
    held_a$f = fetch_a(thread + $fu * WG, place.x, 0u);
// end $f
// each $g
    held_b$g = fetch_b(thread + $gu * WG, place.y, 0u);
// end $g
  }
  for (var start = 0u; start < params.k; start += DEPTH) {
    workgroupBarrier();
// each $f
    put_a(thread + $fu * WG, place.x, start, held_a$f);
// end $f
// each $g
    put_b(thread + $gu * WG, place.y, start, held_b$g);
// end $g
    workgroupBarrier();
    // Beyond the end of k this reads something of A and B, which is not used.
    let next = start + DEPTH;
// each $f
    held_a$f = fetch_a(thread + $fu * WG, place.x, next);
// end $f
// each $g
    held_b$g = fetch_b(thread + $gu * WG, place.y, next);
// end $g
// each $k
    {
// each $i
      let a$i = $load_a<CoopA>(&slab_a[from_a + EIGHT * ($iu * A_NEXT + $ku * A_DEEP)], A_STRIDE);
// end $i
// each $j
      let b$j = $load_b<CoopB>(&slab_b[from_b + EIGHT * ($ju * B_NEXT + $ku * B_DEEP)], B_STRIDE);
// end $j
// each $i
// each $j
      c$i$j = coopMultiplyAdd(a$i, b$j, c$i$j);
// end $j
// end $i
    }
// end $k
  }
  let m = place.x + own.x;
  let n = place.y + own.y;
// each $i
// each $j
  workgroupBarrier();
  coopStoreT(c$i$j, &outcome[mine], COOP);
  workgroupBarrier();
  write_outcome(m + $iu * COOP, n + $ju * COOP, subgroup, lane);
// end $j
// end $i
}
