// The softmax link: LANES whole rows per workgroup. A walk along the row for its mass, and with WRITE_GRADIENT one for the
// gradient. Loss and sum_k d_k p_k come from what the first walk has collected (link_series.wgsl), or from a walk of their own
// in threads for which that is not enough.
// Rows that fit on chip are read once, with HOLDS; longer ones in each walk.
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

// The row's probabilities: the largest u, the whole mass in units of its own, as reciprocal and as logarithm, and what is
// left beside the largest class with the logarithm of that.
struct Share {
  max: F,
  inverse_sum: F,
  log_sum: F,
  rest: F,
  log_rest: F,
}

fn share_of(mass: Mass) -> Share {
  let others = mass.others * exp(mass.second - mass.max);
  let sum = 1.0 + others;
  let log_sum = select(log(sum), log1p_unit(min(others, F(1.0))), others <= F(1.0));
  let log_rest = (mass.second - mass.max) + log(max(mass.others, F(1.0))) - log_sum;
  return Share(mass.max, 1.0 / sum, log_sum, others / sum, select(log_rest, F(-200.0), mass.others == F(0.0)));
}

// A class's part of the loss, and its probability.
struct Link {
  loss: F,
  d: F,
  p: F,
}

fn link(t: F, w: F, u: F, share: Share) -> Link {
  let masked = u <= F(NEG_MAX);
  let log_p = select(u - share.max - share.log_sum, F(-200.0), masked);
  let p = select(exp(u - share.max) * share.inverse_sum, F(0.0), masked);
  // Only the largest class can have more than half; of the others, log(1 - p) = -log(1 + p / (1 - p)).
  let top = u >= share.max;
  let rest = select(1.0 - p, share.rest, top);
  // log(1 + x) of x = p / rest by its series in x / (x + 2).
  let log_rest = select(-log1p_series(p / (p + 2.0 * max(rest, F(0.5)))), share.log_rest, top & (share.rest < F(0.5)));
  let positive = min(-log_p, F(100.0));
  let negative = min(-log_rest, F(100.0));
  var difference = (1.0 - t) * p - t * rest;
  if (!MULTI_HOT) {
    difference = select(p, -rest, t > F(0.0));
  }
  var out: Link;
  out.p = p;
  out.loss = select(w * (t * positive + (1.0 - t) * negative), F(0.0), w == F(0.0));
  out.d = w * difference / max(p * rest, F(1e-12));
  return out;
}

fn link_of(row: Row, j: u32, u: F, share: Share) -> Link {
  let t = target_of(row, j);
  return link(t, weight_of(row, load_column(j), j, t, u), u, share);
}

// A thread's part of a row's loss and of sum_k d_k p_k, and whether it has to walk its classes for them.
struct Part {
  loss: F,
  total: F,
  again: B,
}

// What a thread holds on chip: u of its whole blocks. Edges are few, and read again.
var<private> held: array<F, HELD>;

fn hold_block(block: u32, u: Quad) {
  if (HOLDS) {
    held[4u * block] = u.a;
    held[4u * block + 1u] = u.b;
    held[4u * block + 2u] = u.c;
    held[4u * block + 3u] = u.d;
  }
}

// u of a thread's columns of a whole block.
fn block_u(row: Row, block: u32, thread: u32) -> Quad {
  if (HOLDS) {
    return Quad(held[4u * block], held[4u * block + 1u], held[4u * block + 2u], held[4u * block + 3u]);
  }
  let z = load_block(row, block, thread);
  return Quad(
    u_of(row, column(row, block, thread, 0u), z.a),
    u_of(row, column(row, block, thread, 1u), z.b),
    u_of(row, column(row, block, thread, 2u), z.c),
    u_of(row, column(row, block, thread, 3u), z.d),
  );
}

fn u_of(row: Row, j: u32, z: F) -> F {
  return link_u(row, load_column(j), j, z);
}

// What makes a gradient of a class's part: sum_k d_k p_k, the factor, and whether the row has none.
struct Slope {
  share: Share,
  total: F,
  factor: F,
  bad: B,
}

fn link_gradient(row: Row, j: u32, u: F, slope: Slope) -> F {
  let one = link_of(row, j, u, slope.share);
  // A selection at the end: of a product, llvmpipe computes the factors once more for each element that it stores.
  return select(slope.factor * (one.p * (one.d - slope.total)), F(bitcast<f32>(window.nan)), slope.bad);
}

// The first and the last element of a row whose word it does not own, for `stitch`.
fn save_link_edges(row: Row, slope: Slope) {
  if (row.shift == 1u) {
    let g = link_gradient(row, 0u, u_of(row, 0u, load_logits(row.logits, 0u)), slope);
    store_saved(SAVED_EDGES, row.rows, gradient_bits_of(g), row.live);
  }
  if (((row.shift + window.classes) & 1u) == 1u) {
    let last = window.classes - 1u;
    let g = link_gradient(row, last, u_of(row, last, load_logits(row.logits, last)), slope);
    store_saved(SAVED_EDGES + 1u, row.rows, gradient_bits_of(g), row.live);
  }
}

fn store_link_gradient(row: Row, blocks: Blocks, thread: u32, slope: Slope) {
  // Before anything is written: in place, these are read again later.
  if (GRADIENT_PACKED && thread == 0u) {
    save_link_edges(row, slope);
  }
  // Not by uniforms alone: for a loop that ends by them Mesa 22 compiles a kernel anew before every pass, if the loop's
  // constants make it half as long.
  let end = select(blocks.whole_begin, blocks.whole_end, is_group(kept_group));
  for (var block = blocks.whole_begin; block < end; block++) {
    let u = block_u(row, block, thread);
    store_block(row, block, thread, Quad(
      link_gradient(row, column(row, block, thread, 0u), u.a, slope),
      link_gradient(row, column(row, block, thread, 1u), u.b, slope),
      link_gradient(row, column(row, block, thread, 2u), u.c, slope),
      link_gradient(row, column(row, block, thread, 3u), u.d, slope),
    ));
  }
  for (var step = 0u; step < EDGE_STEPS; step++) {
    let j = edge_column(row, blocks, thread, step);
    var g = array<F, WIDTH>();
    for (var k = 0u; k < WIDTH; k++) {
      let here = clamped(j + k);
      g[k] = link_gradient(row, here, u_of(row, here, load_logits(row.logits, here)), slope);
    }
    store_inside(row, j, g);
  }
}

// u of an edge's column, masked outside of the row.
fn edge_u(scan: ptr<function, Scan>, row: Row, j: u32, z: F) -> F {
  let here = clamped(j);
  let inside = is_inside(j);
  scan_logit(scan, select(F(NEG_MAX), z, inside), here);
  return select(F(NEG_MAX), u_of(row, here, z), inside);
}

// Blocks of a stretch.
const STRETCH: u32 = 64u;

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let thread = local.x;
  let group = linear_workgroup(id, count);
  if (!is_group(group)) {
    return;
  }
  keep_group(thread, group);
  let row = open_row(group);
  let blocks = blocks_of_piece(row, 0u);
  var mine = new_collected();
  var scan = new_scan();
  var block = blocks.whole_begin;
  while (block < blocks.whole_end) {
    let stretch_end = min(block + STRETCH, blocks.whole_end);
    for (; block < stretch_end; block++) {
      let ja = column(row, block, thread, 0u);
      let jb = column(row, block, thread, 1u);
      let jc = column(row, block, thread, 2u);
      let jd = column(row, block, thread, 3u);
      let z = load_block(row, block, thread);
      scan_logit(&scan, z.a, ja);
      scan_logit(&scan, z.b, jb);
      scan_logit(&scan, z.c, jc);
      scan_logit(&scan, z.d, jd);
      let u = Quad(u_of(row, ja, z.a), u_of(row, jb, z.b), u_of(row, jc, z.c), u_of(row, jd, z.d));
      hold_block(block, u);
      collect_block(&mine, row, block, thread, u);
    }
    end_stretch(&mine);
  }
  // Apart from the others, since the first edge lies before them.
  var edges = new_scan();
  for (var which = 0u; which < WIDTH; which++) {
    let block = edge_block(blocks, which);
    // Without such a block all are outside.
    let j = vec4<u32>(
      column(row, block, thread, 0u),
      column(row, block, thread, 1u),
      column(row, block, thread, 2u),
      column(row, block, thread, 3u),
    );
    let z = load_edge(row, block, thread);
    let ua = edge_u(&edges, row, j.x, z.a);
    let ub = edge_u(&edges, row, j.y, z.b);
    let uc = edge_u(&edges, row, j.z, z.c);
    let ud = edge_u(&edges, row, j.w, z.d);
    collect_edge(&mine, row, j, Quad(ua, ub, uc, ud));
  }
  end_stretch(&mine);
  let share = share_of(mass_over_workgroup(thread, collected_mass(mine)));
  let again = opened_again();
  let same = blocks_of_piece(again, 0u);
  let part = collected_part(mine, again, thread, share);
  let walks = any_lane(part.again);
  var loss = F(0.0);
  var sum = F(0.0);
  for (var block = select(same.whole_end, same.whole_begin, walks); block < same.whole_end; block++) {
    let u = block_u(again, block, thread);
    let a = link_of(again, column(again, block, thread, 0u), u.a, share);
    let b = link_of(again, column(again, block, thread, 1u), u.b, share);
    let c = link_of(again, column(again, block, thread, 2u), u.c, share);
    let d = link_of(again, column(again, block, thread, 3u), u.d, share);
    loss += (a.loss + b.loss) + (c.loss + d.loss);
    sum += (a.d * a.p + b.d * b.p) + (c.d * c.p + d.d * d.p);
  }
  for (var step = select(EDGE_STEPS * WIDTH, 0u, walks); step < EDGE_STEPS * WIDTH; step++) {
    let j = edge_column(again, same, thread, step / WIDTH) + step % WIDTH;
    if (is_inside(j)) {
      let one = link_of(again, j, u_of(again, j, load_logits(again.logits, j)), share);
      loss += one.loss;
      sum += one.d * one.p;
    }
  }
  loss = select(part.loss, loss, part.again);
  let total = sum_over_workgroup(thread, select(part.total, sum, part.again));
  var out = merged_over_workgroup(thread, loss, merged_scan(scan, edges));
  // Rows that count and in which masks leave no class have no loss.
  out.bad = out.bad | (row.kept & (share.max <= F(NEG_MAX)));
  if (SUMS && thread == 0u) {
    store_result(row, 0u, out);
  }
  if (WRITE_GRADIENT) {
    let slope = Slope(share, total, row_factor(row) * spec.scale, out.bad);
    let last = opened_again();
    store_link_gradient(last, blocks_of_piece(last, 0u), thread, slope);
  }
}
