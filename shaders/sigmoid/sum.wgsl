// What a workgroup's threads have of a row, put together in a fixed tree.

var<workgroup> tree_sum: array<F, WG>;
var<workgroup> tree_bad: array<U, WG>;
var<workgroup> tree_best: array<F, WG_INDEX>;
var<workgroup> tree_index: array<U, WG_INDEX>;

fn merged_over_workgroup(thread: u32, loss: F, scan: Scan) -> Result {
  workgroupBarrier();
  tree_sum[thread] = loss;
  tree_bad[thread] = select(U(0u), U(1u), has_bad_logit(scan));
  if (WANT_ARGMAX) {
    tree_best[thread] = scan.best;
    tree_index[thread] = scan.index;
  }
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_sum[thread] += tree_sum[thread + half];
      tree_bad[thread] |= tree_bad[thread + half];
      if (WANT_ARGMAX) {
        let a = tree_best[thread];
        let b = tree_best[thread + half];
        let i = tree_index[thread];
        let k = tree_index[thread + half];
        tree_index[thread] = select(select(i, k, b > a), min(i, k), a == b);
        tree_best[thread] = max(a, b);
      }
    }
    workgroupBarrier();
  }
  var out = Result(tree_sum[0], tree_bad[0] != U(0u), F(0.0), U(0u));
  if (WANT_ARGMAX) {
    out.best = tree_best[0];
    // Of a row in which masks leave nothing, the first.
    out.index = select(tree_index[0], U(0u), tree_index[0] == U(0xffffffffu));
  }
  return out;
}
