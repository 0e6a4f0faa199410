// The softmax link: LANES whole rows per workgroup, in three passes: the mass, then loss and sum_k d_k p_k, then with
// WRITE_GRADIENT the gradient.
//
//   p = softmax(u),   e = -t max(log p, -100) - (1 - t) max(log(1 - p), -100)
//   d = W (p - t) / max(p (1 - p), 1e-12),   d/du_j = p_j (d_j - sum_k d_k p_k)
//
// Dispatch: a workgroup for each group of LANES rows.

// The largest u and the mass of all classes but one of that u, in units of exp(max): what is left for the others is exact
// where one class has nearly all.
struct Mass {
  max: F,
  others: F,
}

var<workgroup> tree_max: array<F, WG>;
var<workgroup> tree_mass: array<F, WG>;

fn merge_mass(a: Mass, b: Mass) -> Mass {
  let first = a.max >= b.max;
  let top = max(a.max, b.max);
  let low = min(a.max, b.max);
  let kept = select(b.others, a.others, first);
  let moved = (select(a.others, b.others, first) + 1.0) * exp(low - top);
  return Mass(top, kept + select(moved, F(0.0), low <= F(NEG_MAX)));
}

fn mass_over_workgroup(thread: u32, mine: Mass) -> Mass {
  var total = mine;
  workgroupBarrier();
  tree_max[thread] = mine.max;
  tree_mass[thread] = mine.others;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      total = merge_mass(total, Mass(tree_max[thread + half], tree_mass[thread + half]));
      tree_max[thread] = total.max;
      tree_mass[thread] = total.others;
    }
    workgroupBarrier();
  }
  return Mass(tree_max[0], tree_mass[0]);
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

// A class's part of the loss, and its probability.
struct Link {
  loss: F,
  d: F,
  p: F,
}

fn link(row: Row, column: Column, j: u32, u: F, mass: Mass) -> Link {
  let t = target_of(row, j);
  let masked = u <= F(NEG_MAX);
  let sum = 1.0 + mass.others;
  let log_p = select(u - mass.max - log(sum), F(-200.0), masked);
  let p = select(exp(u - mass.max) / sum, F(0.0), masked);
  // Only the largest class can have more than half.
  let rest = select(1.0 - p, mass.others / sum, u >= mass.max);
  let log_rest = select(log(max(rest, F(1e-37))), -p - 0.5 * p * p, p < F(1e-3));
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

fn link_gradient(row: Row, j: u32, mass: Mass, total: F, factor: F, bad: B) -> F {
  let column = load_column(j);
  let one = link(row, column, j, link_u(row, column, j, load_logits(row.logits, j)), mass);
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
  var mine = Mass(F(NEG_MAX), F(0.0));
  var tally = new_tally();
  var scan = new_scan();
  for (var i = 0u; i < steps; i++) {
    let j = column(row, i / 4u, thread, i % 4u);
    if (is_inside(j)) {
      let z = load_logits(row.logits, j);
      scan_logit(&scan, z, j);
      let u = link_u(row, load_column(j), j, z);
      mine = merge_mass(mine, Mass(u, F(0.0)));
    }
  }
  let mass = mass_over_workgroup(thread, mine);
  var part = F(0.0);
  for (var i = 0u; i < steps; i++) {
    let j = column(row, i / 4u, thread, i % 4u);
    if (is_inside(j)) {
      let column = load_column(j);
      let one = link(row, column, j, link_u(row, column, j, load_logits(row.logits, j)), mass);
      add_loss(&tally, one.loss);
      part += one.d * one.p;
    }
  }
  let total = sum_over_workgroup(thread, part);
  var out = merged_over_workgroup(thread, tally, scan);
  // Rows that count and in which masks leave no class have no loss.
  out.bad = out.bad | (row.kept & (mass.max <= F(NEG_MAX)));
  if (SUMS && thread == 0u) {
    store_result(row, 0u, out);
  }
  if (WRITE_GRADIENT) {
    let factor = row_factor(row);
    if (GRADIENT_PACKED && thread == 0u) {
      if (row.shift == 1u) {
        store_saved(SAVED_EDGES, row.rows,
          gradient_bits_of(link_gradient(row, 0u, mass, total, factor, out.bad)), row.live);
      }
      if (((row.shift + window.classes) & 1u) == 1u) {
        store_saved(SAVED_EDGES + 1u, row.rows,
          gradient_bits_of(link_gradient(row, window.classes - 1u, mass, total, factor, out.bad)), row.live);
      }
    }
    for (var i = 0u; i < steps; i += WIDTH) {
      let j = column(row, i / 4u, thread, i % 4u);
      var g = array<F, WIDTH>();
      for (var k = 0u; k < WIDTH; k++) {
        g[k] = link_gradient(row, clamped(j + k), mass, total, factor, out.bad);
      }
      store_inside(row, j, g);
    }
  }
}
