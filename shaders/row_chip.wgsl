// Loss of LANES rows per workgroup whose rows fit on chip: each thread holds CHIP columns of each row, so that
// every logit is read once and, with WRITE_GRADIENT, its gradient written once.
//
// Dispatch: ceil(N / LANES) workgroups; CHIP * WG >= K.

// The v of a column, NEG_MAX past the end of the row: blocks of four are always whole.
fn chip_v(row: Row, j: u32, scan: ptr<function, Scan>) -> F {
  let inside = min(j, params.classes - 1u);
  let z = load_logits(row.logits, inside);
  scan_logit(scan, z, inside);
  let term = load_class(inside);
  return select(F(NEG_MAX), kept_logit(row, term, inside, z), j < params.classes);
}

fn chip_entry(row: Row, j: u32, u: F) -> Entry {
  let inside = min(j, params.classes - 1u);
  let term = load_class(inside);
  let out = is_label(row, j) | B(j >= params.classes);
  var tau = F(0.0);
  if (HAS_DENSE) {
    tau = select(dense_target(row.dense, inside, term.weight), F(0.0), out);
  }
  return Entry(select(u, F(NEG_MAX), out), class_factor(row, term), tau);
}

fn chip_row(thread: u32, group: u32) {
  let row = open_row(group);
  let v_first = label_logit(row, row.first);
  var v_second = F(NEG_MAX);
  if (MIXED_TARGETS) {
    v_second = label_logit(row, row.second);
  }
  // This thread's columns: u, or with TWO_STEP v and then factor exp(u - top).
  var held: array<F, CHIP>;
  var threshold = own_threshold(v_first);
  var scan = new_scan();
  var mass = no_mass();
  var top = F(0.0);
  for (var i = 0u; i < CHIP; i += 4u) {
    let j = i * WG + thread;
    var a = chip_v(row, j, &scan);
    var b = chip_v(row, j + WG, &scan);
    var c = chip_v(row, j + 2u * WG, &scan);
    var d = chip_v(row, j + 3u * WG, &scan);
    if (TWO_STEP) {
      let one = F(1.0);
      let none = F(0.0);
      add_classes(&mass, Entry(a, one, none), Entry(b, one, none), Entry(c, one, none), Entry(d, one, none));
    } else {
      a = compensated(a, threshold);
      b = compensated(b, threshold);
      c = compensated(c, threshold);
      d = compensated(d, threshold);
      add_classes(&mass, chip_entry(row, j, a), chip_entry(row, j + WG, b), chip_entry(row, j + 2u * WG, c),
        chip_entry(row, j + 3u * WG, d));
    }
    held[i] = a;
    held[i + 1u] = b;
    held[i + 2u] = c;
    held[i + 3u] = d;
  }
  if (TWO_STEP) {
    let raw = merge_over_workgroup(thread, mass);
    threshold = max(v_first, log_mass(raw.max, raw.raw) + params.seesaw_log_eps);
    // Every u lies below this, so the masses need no running maximum, and are what is held from here on.
    top = compensated(raw.max, threshold);
    mass = no_mass();
    mass.max = top;
    for (var i = 0u; i < CHIP; i++) {
      let entry = chip_entry(row, i * WG + thread, compensated(held[i], threshold));
      held[i] = include(&mass, entry, top);
    }
  }
  let total = merge_over_workgroup(thread, mass);
  let out = close_row(thread, row, total, v_first, v_second, threshold, scan);
  if (WRITE_GRADIENT) {
    let unit = out.coefficient * exp(top - out.reference);
    for (var i = 0u; i < CHIP; i++) {
      let j = i * WG + thread;
      if (j < params.classes) {
        var scale = params.scale;
        var weight = 1.0;
        if (HAS_CLASS_SCALE) {
          scale *= classes[COLUMN_CLASS_SCALE * params.classes + j];
        }
        if (HAS_CLASS_WEIGHTS) {
          weight = classes[COLUMN_WEIGHT * params.classes + j];
        }
        var g: F;
        if (TWO_STEP) {
          g = with_targets(row, out, j, unit * held[i], weight);
        } else {
          var factor = F(1.0);
          if (HAS_FACTOR) {
            factor = class_factor(row, load_class(j));
          }
          g = gradient_u(row, out, j, held[i], factor, weight);
        }
        store_gradients(row.gradient, j, scale * g, row.live);
      }
    }
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
    chip_row(thread, group);
  }
}
