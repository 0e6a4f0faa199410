// Whether a row has a logit that is not a number or +inf, and the column of its largest one.

struct Scan {
  bad: bool,
  best: f32,
  index: u32,
}

var<workgroup> tree_bad: array<u32, WG>;
var<workgroup> tree_best: array<f32, WG>;
var<workgroup> tree_index: array<u32, WG>;

// A column, in any order of columns.
fn scan_logit(scan: ptr<function, Scan>, z: f32, j: u32) {
  let bits = bitcast<u32>(z);
  (*scan).bad = (*scan).bad || (bits & 0x7fffffffu) > 0x7f800000u || bits == 0x7f800000u;
  if (WANT_ARGMAX) {
    let u = unmasked(z);
    let better = u > (*scan).best || (u == (*scan).best && j < (*scan).index);
    (*scan).best = select((*scan).best, u, better);
    (*scan).index = select((*scan).index, j, better);
  }
}

// Over the workgroup.
fn merged_scan(thread: u32, mine: Scan) -> Scan {
  workgroupBarrier();
  tree_bad[thread] = select(0u, 1u, mine.bad);
  tree_best[thread] = mine.best;
  tree_index[thread] = mine.index;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_bad[thread] |= tree_bad[thread + half];
      let a = tree_best[thread];
      let b = tree_best[thread + half];
      let i = tree_index[thread];
      let k = tree_index[thread + half];
      // A thread without a column has the number of none, the largest.
      tree_index[thread] = select(select(i, k, b > a), min(i, k), a == b);
      tree_best[thread] = max(a, b);
    }
    workgroupBarrier();
  }
  return Scan(tree_bad[0] != 0u, tree_best[0], tree_index[0]);
}
