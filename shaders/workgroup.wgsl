// Merging over the threads of a workgroup: a tree in workgroup memory, the same order on every run.
// WG is a power of two. Every slot is written before it is read. Most kernels have one tree for all threads; with ROOTS
// of them, a power of two, thread t has a part of tree t % ROOTS.

var<workgroup> tree_max: array<F, WG>;
var<workgroup> tree_sum: array<F, WG>;
var<workgroup> tree_raw: array<F, WG_RAW>;
var<workgroup> tree_weight: array<F, WG_DENSE>;
var<workgroup> tree_cross: array<F, WG_DENSE>;
var<workgroup> tree_index: array<U, WG_INDEX>;

fn put_mass(slot: u32, mass: Mass) {
  tree_max[slot] = mass.max;
  tree_sum[slot] = mass.sum;
  if (TWO_STEP) {
    tree_raw[slot] = mass.raw;
  }
  if (HAS_DENSE) {
    tree_weight[slot] = mass.weight;
    tree_cross[slot] = mass.cross;
  }
}

fn take_mass(slot: u32) -> Mass {
  var mass = Mass(tree_max[slot], tree_sum[slot], F(0.0), F(0.0), F(0.0));
  if (TWO_STEP) {
    mass.raw = tree_raw[slot];
  }
  if (HAS_DENSE) {
    mass.weight = tree_weight[slot];
    mass.cross = tree_cross[slot];
  }
  return mass;
}

fn merge_over_workgroup(thread: u32, mine: Mass) -> Mass {
  var total = mine;
  workgroupBarrier();
  put_mass(thread, mine);
  workgroupBarrier();
  for (var half = WG / 2u; half >= ROOTS; half = half / 2u) {
    if (thread < half) {
      total = merge(total, take_mass(thread + half));
      put_mass(thread, total);
    }
    workgroupBarrier();
  }
  return settled(take_mass(thread % ROOTS));
}

fn max_over_workgroup(thread: u32, mine: F) -> F {
  workgroupBarrier();
  tree_max[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half >= ROOTS; half = half / 2u) {
    if (thread < half) {
      tree_max[thread] = max(tree_max[thread], tree_max[thread + half]);
    }
    workgroupBarrier();
  }
  return tree_max[thread % ROOTS];
}

fn any_over_workgroup(thread: u32, mine: B) -> B {
  return max_over_workgroup(thread, select(F(0.0), F(1.0), mine)) > F(0.0);
}

// The class of the largest logit, the lowest such class on ties.
fn argmax_over_workgroup(thread: u32, best: F, index: U) -> U {
  workgroupBarrier();
  tree_max[thread] = best;
  tree_index[thread] = index;
  workgroupBarrier();
  for (var half = WG / 2u; half >= ROOTS; half = half / 2u) {
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
  return tree_index[thread % ROOTS];
}
