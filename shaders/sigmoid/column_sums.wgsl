// Adds the batch's gradients to what a class has accumulated: sum_n t |dL_n/dz| and sum_n (1 - t) |dL_n/dz|, without
// the denominator. One thread per class, rows in order: the same bits on every run. A sum is a pair of f32 whose exact
// total it is. The background column accumulates nothing.
//
// Dispatch: ceil(K / WG) workgroups for each window that has rows, before the gradient is written.

@group(0) @binding(6) var<storage, read_write> gradient_sums: array<f32>;

// The pair with x added.
fn added(sum: vec2<f32>, x: f32) -> vec2<f32> {
  let high = sum.x + x;
  let back = high - sum.x;
  let lost = (sum.x - (high - back)) + (x - back);
  let low = sum.y + lost;
  let total = high + low;
  return vec2<f32>(total, low - (total - high));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let j = linear_workgroup(id, count) * WG + thread;
  if (j >= window.classes) {
    return;
  }
  let in_column = (spec.flags & FLAG_BACKGROUND_COLUMN) != 0u;
  if (in_column && i32(j + window.first_class) == spec.background_column) {
    return;
  }
  let column = load_column(j);
  var positive = vec2<f32>(gradient_sums[4u * j], gradient_sums[4u * j + 1u]);
  var negative = vec2<f32>(gradient_sums[4u * j + 2u], gradient_sums[4u * j + 3u]);
  for (var group = 0u; group < window.rows; group++) {
    let row = open_row(group);
    let z = load_logits(row.logits, j);
    let t = target_of(row, j);
    let bits = bitcast<u32>(element(row, column, j, z).slope) & 0x7fffffffu;
    // A row without a gradient, which the status reports, must not spoil what has been accumulated.
    let size = select(bitcast<f32>(bits), 0.0, bits >= 0x7f800000u);
    positive = added(positive, t * size);
    negative = added(negative, (1.0 - t) * size);
  }
  gradient_sums[4u * j] = positive.x;
  gradient_sums[4u * j + 1u] = positive.y;
  gradient_sums[4u * j + 2u] = negative.x;
  gradient_sums[4u * j + 3u] = negative.y;
}
