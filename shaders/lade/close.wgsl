// From a range's columns to their part of the regulariser and what their gradient is made of. The loss of the batch has
// been set before: to 0, to a cross-entropy's, or to NaN.
//
// Dispatch: one workgroup for each range of classes, one after another.

@group(0) @binding(1) var<storage, read_write> scalars: array<u32>;
@group(0) @binding(3) var<storage, read_write> classes: array<f32>;

var<workgroup> tree: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  let thread = local.x;
  var sum = 0.0;
  for (var j = thread; j < window.classes; j += WG) {
    var own = 0.0;
    var all = 0.0;
    // Whatever the logit, its exponential is 0 as long as no row counts.
    var shift = NEG_MAX;
    let kept = table(TABLE_KEPT, j);
    if (kept > 0.0) {
      let count = table(TABLE_COUNT, j);
      let share = select(0.0, 1.0 / count, count > 0.0);
      let first = table(TABLE_OWN, j) * share;
      let second = table(TABLE_MAX, j) + (log(table(TABLE_SUM, j)) - log(kept));
      let weight = numbers.weight * table(TABLE_WEIGHT, j);
      sum += -weight * ((first - second) - numbers.lambda * second * second);
      own = weight * share;
      all = weight * (1.0 + 2.0 * numbers.lambda * second) / table(TABLE_SUM, j);
      shift = clamp(table(TABLE_RATIO, j) - table(TABLE_MAX, j), NEG_MAX, POS_MAX);
    }
    set_table(TABLE_SHIFT, j, shift);
    set_table(TABLE_FACTOR_ALL, j, all);
    set_table(TABLE_FACTOR_OWN, j, own);
  }
  tree[thread] = sum;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree[thread] += tree[thread + half];
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    scalars[SCALAR_LOSS] = bitcast<u32>(bitcast<f32>(scalars[SCALAR_LOSS]) + tree[0]);
  }
}
