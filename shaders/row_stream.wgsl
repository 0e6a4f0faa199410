// Loss of LANES rows per workgroup, rows of any length: one pass over the logits for the mass, and with
// WRITE_GRADIENT a second one for the gradient.
//
// Dispatch: ceil(N / LANES) workgroups. Workgroup memory: the trees of workgroup.wgsl and one RowLoss.
//
// Seesaw's compensation with eps > 0 needs the raw log-sum-exp before it can weigh a class, but only classes of
// probability above eps change, at most 1/eps of them. So the first pass sums the mass without compensation and
// keeps the largest v of each of at most TILES stretches of a thread's columns; a stretch is read again only if
// some class in it lies above the threshold.

// A class as the first pass sees it.
struct Visit {
  entry: Entry,
  rest: F,  // v, NEG_MAX for the row's labels
}

fn visit(row: Row, j: u32, z: F, threshold: F) -> Visit {
  var out: Visit;
  let term = load_class(j);
  let label = is_label(row, j);
  let v = kept_logit(row, term, j, z);
  out.rest = select(v, F(NEG_MAX), label);
  if (TWO_STEP) {
    // Raw mass counts the labels too.
    out.entry.u = v;
    out.entry.factor = select(class_factor(row, term), F(0.0), label);
  } else {
    out.entry.u = select(compensated(v, threshold), F(NEG_MAX), label);
    out.entry.factor = class_factor(row, term);
  }
  if (HAS_DENSE) {
    out.entry.tau = select(dense_target(row.dense, j, term.weight), F(0.0), label);
  }
  return out;
}

// Adds what compensation adds to the classes of one stretch above the threshold; tile_top is the largest v there.
fn compensate(row: Row, begin: u32, end: u32, threshold: F, tile_top: F, mass: ptr<function, Mass>) {
  let top = max((*mass).max, compensated(tile_top, threshold));
  raise(mass, top);
  var sum = F(0.0);
  var cross = F(0.0);
  for (var j = begin; j < end; j += WG) {
    let term = load_class(j);
    let v = kept_logit(row, term, j, load_logits(row.logits, j));
    let u = compensated(v, threshold);
    let factor = select(class_factor(row, term), F(0.0), is_label(row, j));
    sum += factor * (exp(u - top) - exp(v - top));
    if (HAS_DENSE) {
      let tau = select(dense_target(row.dense, j, term.weight), F(0.0), is_label(row, j));
      cross += weighted(tau, u - v);
    }
  }
  (*mass).sum += sum;
  (*mass).cross -= cross;
}

fn class_gradient(row: Row, out: RowLoss, j: u32, z: F, threshold: F) -> F {
  let term = load_class(j);
  let u = compensated(kept_logit(row, term, j, z), threshold);
  return term.scale * gradient_u(row, out, j, u, class_factor(row, term), term.weight);
}

fn second_pass(row: Row, thread: u32, out: RowLoss, threshold: F) {
  var j = thread;
  for (; j + 3u * WG < params.classes; j += 4u * WG) {
    let za = load_logits(row.logits, j);
    let zb = load_logits(row.logits, j + WG);
    let zc = load_logits(row.logits, j + 2u * WG);
    let zd = load_logits(row.logits, j + 3u * WG);
    let a = class_gradient(row, out, j, za, threshold);
    let b = class_gradient(row, out, j + WG, zb, threshold);
    let c = class_gradient(row, out, j + 2u * WG, zc, threshold);
    let d = class_gradient(row, out, j + 3u * WG, zd, threshold);
    store_gradients(row.gradient, j, a, row.live);
    store_gradients(row.gradient, j + WG, b, row.live);
    store_gradients(row.gradient, j + 2u * WG, c, row.live);
    store_gradients(row.gradient, j + 3u * WG, d, row.live);
  }
  for (; j < params.classes; j += WG) {
    let z = load_logits(row.logits, j);
    store_gradients(row.gradient, j, class_gradient(row, out, j, z, threshold), row.live);
  }
}

fn stream_row(thread: u32, group: u32) {
  let row = open_row(group);
  let v_first = label_logit(row, row.first);
  var v_second = F(NEG_MAX);
  if (MIXED_TARGETS) {
    v_second = label_logit(row, row.second);
  }
  let steps = (params.classes + WG - 1u) / WG;
  // Whole blocks of four steps.
  let tile = ((steps + TILES - 1u) / TILES + 3u) / 4u * 4u * WG;
  let tiles = (params.classes + tile - 1u) / tile;
  var tile_top: array<F, TILES>;
  var tile_index = 0u;
  var top = F(NEG_MAX);
  var threshold = own_threshold(v_first);
  var scan = new_scan();
  var mass = no_mass();
  var block = 0u;
  // Four columns at a time: their loads are in flight together.
  for (; block + 4u * WG <= params.classes; block += 4u * WG) {
    let j = block + thread;
    let za = load_logits(row.logits, j);
    let zb = load_logits(row.logits, j + WG);
    let zc = load_logits(row.logits, j + 2u * WG);
    let zd = load_logits(row.logits, j + 3u * WG);
    scan_logit(&scan, za, j);
    scan_logit(&scan, zb, j + WG);
    scan_logit(&scan, zc, j + 2u * WG);
    scan_logit(&scan, zd, j + 3u * WG);
    let a = visit(row, j, za, threshold);
    let b = visit(row, j + WG, zb, threshold);
    let c = visit(row, j + 2u * WG, zc, threshold);
    let d = visit(row, j + 3u * WG, zd, threshold);
    add_classes(&mass, a.entry, b.entry, c.entry, d.entry);
    if (TWO_STEP) {
      top = max(top, max(max(a.rest, b.rest), max(c.rest, d.rest)));
      if (block + 4u * WG == (tile_index + 1u) * tile) {
        tile_top[tile_index] = top;
        tile_index += 1u;
        top = F(NEG_MAX);
      }
    }
  }
  for (var j = block + thread; j < params.classes; j += WG) {
    let z = load_logits(row.logits, j);
    scan_logit(&scan, z, j);
    let a = visit(row, j, z, threshold);
    add_class(&mass, a.entry);
    if (TWO_STEP) {
      top = max(top, a.rest);
    }
  }
  if (TWO_STEP && tile_index < tiles) {
    tile_top[tile_index] = top;
  }
  var total = merge_over_workgroup(thread, mass);
  if (TWO_STEP) {
    threshold = max(v_first, log_mass(total.max, total.raw) + params.seesaw_log_eps);
    for (var i = 0u; i < tiles; i++) {
      if (any_lane(tile_top[i] > threshold)) {
        compensate(row, i * tile + thread, min((i + 1u) * tile, params.classes), threshold, tile_top[i], &mass);
      }
    }
    total = merge_over_workgroup(thread, mass);
  }
  let out = close_row(thread, row, total, v_first, v_second, threshold, scan);
  if (WRITE_GRADIENT) {
    second_pass(row, thread, out, threshold);
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let group = linear_workgroup(id, count);
  if (group * LANES < params.rows) {
    stream_row(thread, group);
  }
}
