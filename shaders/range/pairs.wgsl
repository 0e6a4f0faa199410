// The largest distances of one class, and its part of the loss. Only the workgroups of classes' first rows have work.
//
// Dispatch: a workgroup for each row.

@group(0) @binding(4) var<storage, read_write> saved: array<u32>;

struct Found {
  distance: f32,
  a: u32,
  b: u32,
}

var<workgroup> tree: array<Found, WG>;
var<workgroup> tree_near: array<vec2<u32>, WG>;

fn distance_of(a: u32, b: u32) -> f32 {
  var sum = 0.0;
  for (var j = 0u; j < window.classes; j++) {
    let difference = feature(a, j) - feature(b, j);
    sum += difference * difference;
  }
  return clamp(sqrt(sum), SMALLEST, POS_MAX);
}

fn centre_distance(a: u32, b: u32) -> f32 {
  var sum = 0.0;
  for (var j = 0u; j < window.classes; j++) {
    let difference = centre(a, j) - centre(b, j);
    sum += difference * difference;
  }
  return clamp(sqrt(sum), SMALLEST, POS_MAX);
}

// Whether x comes before y: by distance, then in the order of rows.
fn comes_first(x: Found, y: Found) -> bool {
  if (x.distance != y.distance) {
    return x.distance > y.distance;
  }
  return x.a < y.a || (x.a == y.a && x.b < y.b);
}

// The best pair of the class that comes after `last`, among those of this thread's rows.
fn best_of_thread(first: u32, thread: u32, size: u32, last: Found) -> Found {
  var best = Found(-1.0, NO_ROW, NO_ROW);
  var a = first;
  for (var place = 0u; place < size; place++) {
    if (place % WG == thread) {
      var b = held(SAVED_NEXT_ROW, a);
      for (var later = place + 1u; later < size; later++) {
        let found = Found(distance_of(a, b), a, b);
        if (comes_first(last, found) && comes_first(found, best)) {
          best = found;
        }
        b = held(SAVED_NEXT_ROW, b);
      }
    }
    a = held(SAVED_NEXT_ROW, a);
  }
  return best;
}

// The nearest centre of a class that begins later: the bits of its distance, and its first row.
fn nearest_of_thread(first: u32, thread: u32, size: u32) -> vec2<u32> {
  var best = vec2<u32>(0x7f800000u, NO_ROW);
  for (var other = first + 1u + thread; other < window.rows && size > 0u; other += WG) {
    if (held(SAVED_FIRST_ROW, other) == other) {
      // Of numbers above 0 the bits are in the numbers' order.
      let near = vec2<u32>(bitcast<u32>(centre_distance(first, other)), other);
      if (near.x < best.x) {
        best = near;
      }
    }
  }
  return best;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let row = linear_workgroup(id, count);
  if (row >= window.rows) {
    return;
  }
  // Others have no rows.
  let size = select(0u, held(SAVED_SIZE, row), held(SAVED_FIRST_ROW, row) == row);
  var last = Found(POS_MAX, 0u, 0u);
  var found = 0.0;
  var sum = 0.0;
  for (var pair = 0u; pair < numbers.pairs; pair++) {
    tree[thread] = best_of_thread(row, thread, size, last);
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half = half / 2u) {
      if (thread < half && comes_first(tree[thread + half], tree[thread])) {
        tree[thread] = tree[thread + half];
      }
      workgroupBarrier();
    }
    let best = tree[0];
    workgroupBarrier();
    if (thread == 0u) {
      let at = SAVED_PAIRS + PAIR_FIELDS * pair;
      keep(at, row, best.a);
      keep(at + 1u, row, best.b);
      keep_number(at + 2u, row, best.distance);
    }
    if (best.a != NO_ROW) {
      found += 1.0;
      sum += 1.0 / best.distance;
    }
    // Nothing comes after what is no pair.
    last = best;
  }
  tree_near[thread] = nearest_of_thread(row, thread, size);
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      let a = tree_near[thread];
      let b = tree_near[thread + half];
      if (b.x < a.x || (b.x == a.x && b.y < a.y)) {
        tree_near[thread] = b;
      }
    }
    workgroupBarrier();
  }
  if (thread != 0u) {
    return;
  }
  let value = select(0.0, found / sum, found > 0.0);
  keep_number(SAVED_INTRA, row, value);
  keep(SAVED_NEAR, row, tree_near[0].x);
  keep(SAVED_NEAR_ROW, row, tree_near[0].y);
  for (var pair = 0u; pair < numbers.pairs; pair++) {
    let at = SAVED_PAIRS + PAIR_FIELDS * pair;
    let distance = held_number(at + 2u, row);
    let slope = numbers.intra_weight * value / sum / (distance * distance * distance);
    keep_number(at + 2u, row, select(0.0, slope, held(at, row) != NO_ROW && distance > SMALLEST));
  }
}
