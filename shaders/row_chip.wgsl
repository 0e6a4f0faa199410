// Loss of LANES rows per workgroup whose rows fit on chip: each thread holds CHIP columns of each row, so that
// every logit is read once and, with WRITE_GRADIENT, its gradient written once.
//
// Dispatch: a workgroup for each group of LANES rows; CHIP * WG >= K + shift.

// The v of a column. Blocks of four are always whole: what lies outside of the row is masked.
fn chip_v(row: Row, j: u32, z: F, scan: ptr<function, Scan>) -> F {
  let inside = clamped(j);
  let here = select(F(-bitcast<f32>(window.infinity)), z, is_inside(j));
  scan_logit(scan, here, inside);
  return kept_logit(row, load_class(inside), inside, here);
}

fn chip_entry(row: Row, j: u32, u: F) -> Entry {
  let inside = clamped(j);
  let term = load_class(inside);
  let label = is_label(row, j);
  var tau = F(0.0);
  if (HAS_DENSE) {
    tau = select(dense_target(row.dense, inside, term.weight), F(0.0), label | B(!is_inside(j)));
  }
  return Entry(select(u, F(NEG_MAX), label), class_factor(row, term), tau);
}

// `held` is u, or with TWO_STEP a mass whose unit is `unit`.
fn chip_gradient(row: Row, out: RowLoss, j: u32, held: F, unit: F) -> F {
  let inside = clamped(j);
  // Past the end there is no label: only where targets are loaded the column has to be one of the row. A register less
  // for each column that is held.
  let at = select(j, inside, HAS_DENSE);
  var weight = 1.0;
  if (HAS_CLASS_WEIGHTS) {
    weight = classes[COLUMN_WEIGHT * window.classes + inside];
  }
  var g: F;
  if (TWO_STEP) {
    g = with_targets(row, out, at, unit * held, weight);
  } else {
    var factor = F(1.0);
    if (HAS_FACTOR) {
      factor = class_factor(row, load_class(inside));
    }
    g = gradient_z(row, out, at, held, factor, weight);
  }
  if (HAS_CLASS_SCALE) {
    return classes[COLUMN_CLASS_SCALE * window.classes + inside] * g;
  }
  return g;
}

fn chip_row(thread: u32, group: u32) {
  keep_group(thread, group);
  let row = open_row(group);
  let labels = label_logits(row);
  // This thread's columns: u, or with TWO_STEP v and then factor exp(u - top).
  var held: array<F, CHIP>;
  var threshold = own_threshold(labels.first);
  var scan = new_scan();
  var mass = no_mass();
  var top = F(0.0);
  for (var i = 0u; i < CHIP; i += 4u) {
    let block = i / 4u;
    let ja = column(row, block, thread, 0u);
    let jb = column(row, block, thread, 1u);
    let jc = column(row, block, thread, 2u);
    let jd = column(row, block, thread, 3u);
    let z = load_edge(row, block, thread);
    var a = chip_v(row, ja, z.a, &scan);
    var b = chip_v(row, jb, z.b, &scan);
    var c = chip_v(row, jc, z.c, &scan);
    var d = chip_v(row, jd, z.d, &scan);
    if (TWO_STEP) {
      let one = F(1.0);
      let none = F(0.0);
      add_classes(&mass, Entry(a, one, none), Entry(b, one, none), Entry(c, one, none), Entry(d, one, none));
    } else {
      a = compensated(a, threshold);
      b = compensated(b, threshold);
      c = compensated(c, threshold);
      d = compensated(d, threshold);
      add_classes(&mass, chip_entry(row, ja, a), chip_entry(row, jb, b), chip_entry(row, jc, c),
        chip_entry(row, jd, d));
    }
    held[i] = a;
    held[i + 1u] = b;
    held[i + 2u] = c;
    held[i + 3u] = d;
  }
  if (TWO_STEP) {
    let raw = merge_over_workgroup(thread, mass);
    threshold = max(labels.first, log_mass(raw.max, raw.raw) + spec.seesaw_log_eps);
    // Every u lies below this, so the masses need no running maximum, and are what is held from here on.
    top = compensated(raw.max, threshold);
    mass = no_mass();
    mass.max = top;
    let again = opened_again();
    for (var i = 0u; i < CHIP; i++) {
      let j = column(again, i / 4u, thread, i % 4u);
      let entry = chip_entry(again, j, compensated(held[i], threshold));
      held[i] = include(&mass, entry, top);
    }
  }
  let total = merge_over_workgroup(thread, mass);
  let out = close_row(thread, row, total, labels, threshold, scan);
  if (WRITE_GRADIENT) {
    let again = opened_again();
    let unit = out.coefficient * exp(top - out.reference);
    for (var i = 0u; i < CHIP; i += 4u) {
      let block = i / 4u;
      if (block * BLOCK < window.classes + again.shift) {
        store_edge(again, block, thread, Quad(
          chip_gradient(again, out, column(again, block, thread, 0u), held[i], unit),
          chip_gradient(again, out, column(again, block, thread, 1u), held[i + 1u], unit),
          chip_gradient(again, out, column(again, block, thread, 2u), held[i + 2u], unit),
          chip_gradient(again, out, column(again, block, thread, 3u), held[i + 3u], unit),
        ));
      }
    }
    if (thread == 0u) {
      save_edges(again, out, threshold);
    }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let group = linear_workgroup(id, count);
  if (is_group(group)) {
    chip_row(local.x, group);
  }
}
