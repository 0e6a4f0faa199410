// Adds the batch's gradients to what a class has accumulated: sum_n t |dL_n/dz| and sum_n (1 - t) |dL_n/dz|, without
// the denominator. A thread has four classes, a workgroup four times COLUMNS; WG / COLUMNS threads share their classes and
// take the rows in turn. What they have is put together in a fixed order: the same bits on every run. An accumulated sum
// is a pair of f32 whose exact total it is. The background column accumulates nothing.

@group(0) @binding(6) var<storage, read_write> gradient_sums: array<f32>;

// Of four classes.
struct Shares {
  positive: vec4<f32>,
  negative: vec4<f32>,
}

var<workgroup> tree_positive: array<vec4<f32>, WG>;
var<workgroup> tree_negative: array<vec4<f32>, WG>;

// The same number, which no compiler can look into: some simplify (a + b) - a to b.
fn opaque(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) ^ (window.flags & 0x80000000u));
}

// The pair with x added; neither is negative.
fn pair_with(sum: vec2<f32>, x: f32) -> vec2<f32> {
  let larger = max(sum.x, x);
  let high = opaque(larger + min(sum.x, x));
  let low = opaque(sum.y + (min(sum.x, x) - opaque(high - larger)));
  let total = opaque(high + low);
  return vec2<f32>(total, low - opaque(total - high));
}

// What gradients add. A row without a gradient, which the status reports, must not spoil what has been accumulated.
fn shares(gradient: vec4<f32>, t: vec4<f32>) -> Shares {
  let bits = bitcast<vec4<u32>>(gradient) & vec4<u32>(0x7fffffffu);
  let size = select(bitcast<vec4<f32>>(bits), vec4<f32>(0.0), bits >= vec4<u32>(0x7f800000u));
  if (MULTI_HOT) {
    return Shares(t * size, (1.0 - t) * size);
  }
  let label = t > vec4<f32>(0.0);
  return Shares(select(vec4<f32>(0.0), size, label), select(size, vec4<f32>(0.0), label));
}

fn accumulate(j: u32, positive: f32, negative: f32) {
  let in_column = (spec.flags & FLAG_BACKGROUND_COLUMN) != 0u;
  if (j < window.classes && (!in_column || i32(j + window.first_class) != spec.background_column)) {
    let sum = pair_with(vec2<f32>(gradient_sums[4u * j], gradient_sums[4u * j + 1u]), positive);
    let other = pair_with(vec2<f32>(gradient_sums[4u * j + 2u], gradient_sums[4u * j + 3u]), negative);
    gradient_sums[4u * j] = sum.x;
    gradient_sums[4u * j + 1u] = sum.y;
    gradient_sums[4u * j + 2u] = other.x;
    gradient_sums[4u * j + 3u] = other.y;
  }
}

// Of the workgroup's classes, counted in groups of 4 COLUMNS.
fn accumulate_columns(thread: u32, group: u32) {
  let first = 4u * COLUMNS * group + thread % COLUMNS;
  let j = vec4<u32>(first) + COLUMNS * vec4<u32>(0u, 1u, 2u, 3u);
  let here = min(j, vec4<u32>(window.classes - 1u));
  var positive = vec4<f32>(0.0);
  var negative = vec4<f32>(0.0);
  let last = items();
  for (var item = thread / COLUMNS; item < last; item += WG / COLUMNS) {
    let own = shares_of(item, here);
    positive += own.positive;
    negative += own.negative;
  }
  tree_positive[thread] = positive;
  tree_negative[thread] = negative;
  workgroupBarrier();
  for (var half = WG / COLUMNS / 2u; half > 0u; half = half / 2u) {
    if (thread < half * COLUMNS) {
      tree_positive[thread] += tree_positive[thread + half * COLUMNS];
      tree_negative[thread] += tree_negative[thread + half * COLUMNS];
    }
    workgroupBarrier();
  }
  if (thread < COLUMNS) {
    let more = tree_positive[thread] * unscaled();
    let less = tree_negative[thread] * unscaled();
    accumulate(j.x, more.x, less.x);
    accumulate(j.y, more.y, less.y);
    accumulate(j.z, more.z, less.z);
    accumulate(j.w, more.w, less.w);
  }
}
