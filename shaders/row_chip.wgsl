// Loss of LANES rows per workgroup whose rows fit on chip: each thread holds CHIP columns of each row, so that
// every logit is read once and, with WRITE_GRADIENT, its gradient written once.
//
// Dispatch: ceil(N / LANES) workgroups; CHIP * WG >= K.

fn chip_entry(row: Row, term: Class, j: u32, u: F) -> Entry {
  let label = is_label(row, j);
  var tau = F(0.0);
  if (HAS_DENSE) {
    tau = select(dense_target(row.dense, j, term.weight), F(0.0), label);
  }
  return Entry(select(u, F(NEG_MAX), label), class_factor(row, term, j), tau);
}

fn chip_row(thread: u32, group: u32) {
  let row = open_row(group);
  let v_first = label_logit(row, row.first);
  var v_second = F(NEG_MAX);
  if (MIXED_TARGETS) {
    v_second = label_logit(row, row.second);
  }
  // First v, then u of this thread's columns; factors are cheaper made again than held.
  var held: array<F, CHIP>;
  var threshold = own_threshold(v_first);
  var scan = new_scan();
  var mass = no_mass();
  for (var i = 0u; i < CHIP; i++) {
    let j = i * WG + thread;
    if (j < params.classes) {
      let z = load_logits(row.logits, j);
      scan_logit(&scan, z, j);
      let term = load_class(j);
      let v = adjusted(z, F(term.scale), F(term.bias));
      if (TWO_STEP) {
        held[i] = v;
        add_class(&mass, Entry(v, F(1.0), F(0.0)));
      } else {
        held[i] = compensated(v, threshold);
        add_class(&mass, chip_entry(row, term, j, held[i]));
      }
    }
  }
  if (TWO_STEP) {
    let raw = merge_over_workgroup(thread, mass);
    threshold = max(v_first, log_mass(raw.max, raw.raw) + params.seesaw_log_eps);
    mass = no_mass();
    for (var i = 0u; i < CHIP; i++) {
      let j = i * WG + thread;
      if (j < params.classes) {
        held[i] = compensated(held[i], threshold);
        add_class(&mass, chip_entry(row, load_class(j), j, held[i]));
      }
    }
  }
  let total = merge_over_workgroup(thread, mass);
  let bad = any_over_workgroup(thread, has_bad_logit(scan));
  var argmax = U(0u);
  if (WANT_ARGMAX) {
    argmax = argmax_over_workgroup(thread, scan.best, scan.index);
  }
  var mine: RowLoss;
  if (thread == 0u) {
    mine = row_loss(row, total, v_first, v_second);
    mine.bad = mine.bad | bad;
    save_outputs(row, mine, argmax);
    if (WRITE_COEFFICIENTS) {
      save_coefficients(row, mine, threshold);
    }
    if (WRITE_GRADIENT) {
      mine = scaled(mine, F(bitcast<f32>(scalars[SCALAR_INVERSE])));
    }
  }
  if (WRITE_GRADIENT) {
    let out = share_row(thread, mine);
    for (var i = 0u; i < CHIP; i++) {
      let j = i * WG + thread;
      if (j < params.classes) {
        let term = load_class(j);
        let g = gradient_u(row, out, j, held[i], class_factor(row, term, j), term.weight);
        store_gradients(row.gradient, j, term.scale * g, row.live);
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
