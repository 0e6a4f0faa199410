// Adds the batch's gradients to what a class has accumulated: sum_n t |dL_n/dz| and sum_n (1 - t) |dL_n/dz|, without
// the denominator. A workgroup has COLUMNS classes and WG / COLUMNS threads for each, which take the rows in turn; what
// they have is put together in a fixed order: the same bits on every run. An accumulated sum is a pair of f32 whose exact
// total it is. The background column accumulates nothing.
//
// Dispatch: a workgroup for each COLUMNS classes of each window that has rows.

@group(0) @binding(6) var<storage, read_write> gradient_sums: array<f32>;

var<workgroup> tree: array<vec2<f32>, WG>;

// The same number, which no compiler can look into: some simplify (a + b) - a to b.
fn opaque(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) ^ (window.flags & 0x80000000u));
}

// The pair with x added; neither is negative.
fn added(sum: vec2<f32>, x: f32) -> vec2<f32> {
  let larger = max(sum.x, x);
  let high = opaque(larger + min(sum.x, x));
  let low = opaque(sum.y + (min(sum.x, x) - opaque(high - larger)));
  let total = opaque(high + low);
  return vec2<f32>(total, low - opaque(total - high));
}

// What a gradient adds: to the positives, to the negatives. A row without a gradient, which the status reports, must not
// spoil what has been accumulated.
fn shares(gradient: f32, t: f32) -> vec2<f32> {
  let bits = bitcast<u32>(gradient) & 0x7fffffffu;
  let size = select(bitcast<f32>(bits), 0.0, bits >= 0x7f800000u);
  return vec2<f32>(t * size, (1.0 - t) * size);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let j = linear_workgroup(id, count) * COLUMNS + thread % COLUMNS;
  let here = min(j, window.classes - 1u);
  var sum = vec2<f32>(0.0);
  for (var row = thread / COLUMNS; row < window.rows; row += WG / COLUMNS) {
    sum += shares_of(row, here);
  }
  tree[thread] = sum;
  workgroupBarrier();
  for (var half = WG / COLUMNS / 2u; half > 0u; half = half / 2u) {
    if (thread < half * COLUMNS) {
      tree[thread] += tree[thread + half * COLUMNS];
    }
    workgroupBarrier();
  }
  let in_column = (spec.flags & FLAG_BACKGROUND_COLUMN) != 0u;
  let accumulates = !in_column || i32(j + window.first_class) != spec.background_column;
  if (thread < COLUMNS && j < window.classes && accumulates) {
    let total = tree[thread] * unscaled();
    let positive = added(vec2<f32>(gradient_sums[4u * j], gradient_sums[4u * j + 1u]), total.x);
    let negative = added(vec2<f32>(gradient_sums[4u * j + 2u], gradient_sums[4u * j + 3u]), total.y);
    gradient_sums[4u * j] = positive.x;
    gradient_sums[4u * j + 1u] = positive.y;
    gradient_sums[4u * j + 2u] = negative.x;
    gradient_sums[4u * j + 3u] = negative.y;
  }
}
