// The softmax link: LANES whole rows per workgroup, in three passes: the mass, then loss and sum_k d_k p_k, then with
// WRITE_GRADIENT the gradient.
//
//   p = softmax(u),   e = -t max(log p, -100) - (1 - t) max(log(1 - p), -100)
//   d = W (p - t) / max(p (1 - p), 1e-12),   d/du_j = p_j (d_j - sum_k d_k p_k)
//
// Dispatch: a workgroup for each group of LANES rows.

// The largest u, the largest of the others, and the others' mass in units of that one's: what is left for the others is
// exact however little it is.
struct Mass {
  max: F,
  second: F,
  others: F,
}

var<workgroup> tree_max: array<F, WG>;
var<workgroup> tree_second: array<F, WG>;
var<workgroup> tree_mass: array<F, WG>;

fn no_mass() -> Mass {
  return Mass(F(NEG_MAX), F(NEG_MAX), F(0.0));
}

// One more class: it, or the largest before it, is one of the others.
fn with_class(mass: Mass, u: F) -> Mass {
  let low = min(mass.max, u);
  let moved = exp(-abs(low - mass.second));
  let added = mass.others + select(moved, F(0.0), low <= F(NEG_MAX));
  return Mass(
    max(mass.max, u),
    max(mass.second, low),
    select(added, mass.others * moved + 1.0, low > mass.second),
  );
}

fn merge_mass(a: Mass, b: Mass) -> Mass {
  let low = min(a.max, b.max);
  let second = max(max(a.second, b.second), low);
  let kept = a.others * exp(a.second - second) + b.others * exp(b.second - second);
  return Mass(max(a.max, b.max), second, kept + select(exp(low - second), F(0.0), low <= F(NEG_MAX)));
}

fn mass_over_workgroup(thread: u32, mine: Mass) -> Mass {
  var total = mine;
  workgroupBarrier();
  tree_max[thread] = mine.max;
  tree_second[thread] = mine.second;
  tree_mass[thread] = mine.others;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      let other = thread + half;
      total = merge_mass(total, Mass(tree_max[other], tree_second[other], tree_mass[other]));
      tree_max[thread] = total.max;
      tree_second[thread] = total.second;
      tree_mass[thread] = total.others;
    }
    workgroupBarrier();
  }
  return Mass(tree_max[0], tree_second[0], tree_mass[0]);
}

fn sum_over_workgroup(thread: u32, mine: F) -> F {
  workgroupBarrier();
  tree_mass[thread] = mine;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree_mass[thread] += tree_mass[thread + half];
    }
    workgroupBarrier();
  }
  return tree_mass[0];
}

fn link_u(row: Row, column: Column, j: u32, z: F) -> F {
  let v = adjusted(row, column, z);
  if (HAS_MARGIN) {
    let margin = select(F(column.margin), row.margin, B(MARGIN_SUMMED));
    return max(select(v, v - margin, (target_of(row, j) > F(0.0)) & (v > F(NEG_MAX))), F(NEG_MAX));
  }
  return v;
}

// The row's probabilities: the largest u, the whole mass in units of its own with its logarithm, and what is left beside
// the largest class with the logarithm of that.
struct Share {
  max: F,
  sum: F,
  log_sum: F,
  rest: F,
  log_rest: F,
}

fn share_of(mass: Mass) -> Share {
  let others = mass.others * exp(mass.second - mass.max);
  let sum = 1.0 + others;
  let log_sum = select(log(sum), log1p_unit(min(others, F(1.0))), others <= F(1.0));
  let log_rest = (mass.second - mass.max) + log(max(mass.others, F(1.0))) - log_sum;
  return Share(mass.max, sum, log_sum, others / sum, select(log_rest, F(-200.0), mass.others == F(0.0)));
}

// A class's part of the loss, and its probability.
struct Link {
  loss: F,
  d: F,
  p: F,
}

fn link(row: Row, column: Column, j: u32, u: F, share: Share) -> Link {
  let t = target_of(row, j);
  let masked = u <= F(NEG_MAX);
  let log_p = select(u - share.max - share.log_sum, F(-200.0), masked);
  let p = select(exp(u - share.max) / share.sum, F(0.0), masked);
  // Only the largest class can have more than half; of the others, log(1 - p) = -log(1 + p / (1 - p)).
  let top = (u >= share.max) & (share.rest < F(0.5));
  let rest = select(1.0 - p, share.rest, top);
  let log_rest = select(-log1p_unit(min(p / max(rest, F(0.5)), F(1.0))), share.log_rest, top);
  let w = weight_of(row, column, j, t, u);
  let positive = min(-log_p, F(100.0));
  let negative = min(-log_rest, F(100.0));
  var out: Link;
  out.p = p;
  out.loss = select(w * (t * positive + (1.0 - t) * negative), F(0.0), w == F(0.0));
  out.d = select(w * ((1.0 - t) * p - t * rest) / max(p * rest, F(1e-12)), F(0.0), w == F(0.0));
  return out;
}

// This thread's columns in order, over all blocks.
fn column_count(row: Row, blocks: Blocks) -> u32 {
  return 4u * blocks.end;
}

fn link_gradient(row: Row, j: u32, share: Share, total: F, factor: F, bad: B) -> F {
  let column = load_column(j);
  let one = link(row, column, j, link_u(row, column, j, load_logits(row.logits, j)), share);
  return select(factor * spec.scale * one.p * (one.d - total), F(bitcast<f32>(window.nan)), bad);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let group = linear_workgroup(id, count);
  if (!is_group(group)) {
    return;
  }
  let row = open_row(group);
  let blocks = blocks_of_piece(row, 0u);
  let steps = column_count(row, blocks);
  var mine = no_mass();
  var loss = F(0.0);
  var scan = new_scan();
  for (var i = 0u; i < steps; i++) {
    let j = column(row, i / 4u, thread, i % 4u);
    if (is_inside(j)) {
      let z = load_logits(row.logits, j);
      scan_logit(&scan, z, j);
      let u = link_u(row, load_column(j), j, z);
      mine = with_class(mine, u);
    }
  }
  let share = share_of(mass_over_workgroup(thread, mine));
  var part = F(0.0);
  for (var i = 0u; i < steps; i++) {
    let j = column(row, i / 4u, thread, i % 4u);
    if (is_inside(j)) {
      let column = load_column(j);
      let one = link(row, column, j, link_u(row, column, j, load_logits(row.logits, j)), share);
      loss += one.loss;
      part += one.d * one.p;
    }
  }
  let total = sum_over_workgroup(thread, part);
  var out = merged_over_workgroup(thread, loss, scan);
  // Rows that count and in which masks leave no class have no loss.
  out.bad = out.bad | (row.kept & (share.max <= F(NEG_MAX)));
  if (SUMS && thread == 0u) {
    store_result(row, 0u, out);
  }
  if (WRITE_GRADIENT) {
    let factor = row_factor(row);
    if (GRADIENT_PACKED && thread == 0u) {
      if (row.shift == 1u) {
        store_saved(SAVED_EDGES, row.rows,
          gradient_bits_of(link_gradient(row, 0u, share, total, factor, out.bad)), row.live);
      }
      if (((row.shift + window.classes) & 1u) == 1u) {
        store_saved(SAVED_EDGES + 1u, row.rows,
          gradient_bits_of(link_gradient(row, window.classes - 1u, share, total, factor, out.bad)), row.live);
      }
    }
    for (var i = 0u; i < steps; i += WIDTH) {
      let j = column(row, i / 4u, thread, i % 4u);
      var g = array<F, WIDTH>();
      for (var k = 0u; k < WIDTH; k++) {
        g[k] = link_gradient(row, clamped(j + k), share, total, factor, out.bad);
      }
      store_inside(row, j, g);
    }
  }
}
