// The reduced loss and what went wrong, over the threads of a workgroup, in a fixed order: rows with a label out of
// range, rows whose loss is NaN, each as a count and the first of them.

struct LossSum {
  loss: f32,
  labels: vec2<u32>,
  rows: vec2<u32>,
}

var<workgroup> tree_loss: array<f32, WG>;
var<workgroup> tree_labels: array<vec2<u32>, WG>;
var<workgroup> tree_rows: array<vec2<u32>, WG>;

fn noted(row: u32, yes: bool) -> vec2<u32> {
  return select(vec2<u32>(0u, 0xffffffffu), vec2<u32>(1u, row), yes);
}

fn both(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  return vec2<u32>(a.x + b.x, min(a.y, b.y));
}

fn added(a: LossSum, b: LossSum) -> LossSum {
  return LossSum(a.loss + b.loss, both(a.labels, b.labels), both(a.rows, b.rows));
}

fn sum_over_workgroup(thread: u32, begin: u32, end: u32) -> LossSum {
  var sum = LossSum(0.0, noted(0u, false), noted(0u, false));
  var i = begin + thread;
  // Four at a time: their loads are in flight together.
  for (; i + 3u * WG < end; i += 4u * WG) {
    let pairs = added(added(item(i), item(i + WG)), added(item(i + 2u * WG), item(i + 3u * WG)));
    sum = added(sum, pairs);
  }
  for (; i < end; i += WG) {
    sum = added(sum, item(i));
  }
  tree_loss[thread] = sum.loss;
  tree_labels[thread] = sum.labels;
  tree_rows[thread] = sum.rows;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_loss[thread] += tree_loss[thread + half];
      tree_labels[thread] = both(tree_labels[thread], tree_labels[thread + half]);
      tree_rows[thread] = both(tree_rows[thread], tree_rows[thread + half]);
    }
    workgroupBarrier();
  }
  return LossSum(tree_loss[0], tree_labels[0], tree_rows[0]);
}
