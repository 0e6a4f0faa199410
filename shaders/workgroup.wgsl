// Merging over the threads of a workgroup: a tree in workgroup memory, the same order on every run.
// WG is a power of two. Every slot is written before it is read.

var<workgroup> tree_max: array<F, WG>;
var<workgroup> tree_sum: array<F, WG>;
var<workgroup> tree_weight: array<F, WG_DENSE>;
var<workgroup> tree_cross: array<F, WG_DENSE>;
var<workgroup> tree_index: array<U, WG_INDEX>;

fn merge_over_workgroup(thread: u32, mine: Mass) -> Mass {
  var total = mine;
  workgroupBarrier();
  tree_max[thread] = mine.max;
  tree_sum[thread] = mine.sum;
  if (HAS_DENSE) {
    tree_weight[thread] = mine.weight;
    tree_cross[thread] = mine.cross;
  }
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      var other = Mass(tree_max[thread + half], tree_sum[thread + half], F(0.0), F(0.0));
      if (HAS_DENSE) {
        other.weight = tree_weight[thread + half];
        other.cross = tree_cross[thread + half];
      }
      total = merge(total, other);
      tree_max[thread] = total.max;
      tree_sum[thread] = total.sum;
      if (HAS_DENSE) {
        tree_weight[thread] = total.weight;
        tree_cross[thread] = total.cross;
      }
    }
    workgroupBarrier();
  }
  total.max = tree_max[0];
  total.sum = tree_sum[0];
  if (HAS_DENSE) {
    total.weight = tree_weight[0];
    total.cross = tree_cross[0];
  }
  return settled(total);
}

fn any_over_workgroup(thread: u32, mine: B) -> B {
  workgroupBarrier();
  tree_max[thread] = select(F(0.0), F(1.0), mine);
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_max[thread] = max(tree_max[thread], tree_max[thread + half]);
    }
    workgroupBarrier();
  }
  return tree_max[0] > F(0.0);
}

// The class of the largest logit, the lowest such class on ties.
fn argmax_over_workgroup(thread: u32, best: F, index: U) -> U {
  workgroupBarrier();
  tree_max[thread] = best;
  tree_index[thread] = index;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      let a = tree_max[thread];
      let b = tree_max[thread + half];
      let i = tree_index[thread];
      let k = tree_index[thread + half];
      tree_index[thread] = select(select(i, k, b > a), min(i, k), a == b);
      tree_max[thread] = max(a, b);
    }
    workgroupBarrier();
  }
  return tree_index[0];
}
