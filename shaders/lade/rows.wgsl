// Looks for logits that are not finite, and for the largest one, of one row per workgroup. The rows' losses are 0: the
// regulariser has one for the whole batch.
//
// Dispatch: a workgroup for each row of each window.

// saved[]: the largest logit so far.
const SAVED_BEST: u32 = SAVED_EXTRA;

struct Notes {
  bad: u32,
  best: f32,
  index: u32,
}

var<workgroup> tree: array<Notes, WG>;

fn better_of(a: Notes, b: Notes) -> Notes {
  let later = select(a.index, b.index, b.best > a.best);
  return Notes(max(a.bad, b.bad), max(a.best, b.best), select(later, min(a.index, b.index), a.best == b.best));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let group = linear_workgroup(id, count);
  if (group >= window.rows) {
    return;
  }
  let row = open_row(group);
  var mine = Notes(0u, NEG_MAX, 0xffffffffu);
  for (var j = thread; j < window.classes; j += WG) {
    let z = load_logit(row.logits + j);
    if (is_not_finite_bits(bitcast<u32>(z))) {
      mine.bad = 1u;
    }
    if (mine.index == 0xffffffffu || z > mine.best) {
      mine.best = z;
      mine.index = window.first_class + j;
    }
  }
  tree[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree[thread] = better_of(tree[thread], tree[thread + half]);
    }
    workgroupBarrier();
  }
  if (thread != 0u) {
    return;
  }
  var all = tree[0];
  if ((window.flags & FLAG_FIRST_OF_ROWS) == 0u) {
    let before = is_nan(bitcast<f32>(load_saved(SAVED_LOSS, row.rows)));
    let best = bitcast<f32>(load_saved(SAVED_BEST, row.rows));
    all = better_of(Notes(select(0u, 1u, before), best, load_saved(SAVED_ARGMAX, row.rows)), all);
  }
  let bad = all.bad != 0u || load_row_int(FIELD_LABEL, row.rows) == LABEL_BAD;
  store_saved(SAVED_LOSS, row.rows, select(0u, window.nan, bad), true);
  store_saved(SAVED_LOG_SUM_EXP, row.rows, window.nan, true);
  store_saved(SAVED_PROBABILITY, row.rows, window.nan, true);
  store_saved(SAVED_ARGMAX, row.rows, all.index, true);
  store_saved(SAVED_BEST, row.rows, bitcast<u32>(all.best), true);
}
