// Loss of LANES rows per workgroup, rows of any length: one pass over the logits for the mass, and with
// WRITE_GRADIENT a second one for the gradient.
//
// Dispatch: ceil(N / LANES) workgroups. Workgroup memory: the trees of workgroup.wgsl and one RowLoss.
//
// Seesaw's compensation with eps > 0 needs the raw log-sum-exp before it can weigh a class, but only classes of
// probability above eps change, at most 1/eps of them. So the first pass sums the mass without compensation and
// keeps the largest v of each of TILES stretches of a thread's columns; a stretch is read again only if some
// class in it lies above the threshold.

fn stream_row(thread: u32, group: u32) {
  let row = open_row(group);
  let v_first = label_logit(row, row.first);
  var v_second = F(NEG_MAX);
  if (MIXED_TARGETS) {
    v_second = label_logit(row, row.second);
  }
  let steps = (params.classes + WG - 1u) / WG;
  let tile_steps = (steps + TILES - 1u) / TILES;
  var tile_top: array<F, TILES>;
  var threshold = v_first;
  var scan = new_scan();
  var mass = no_mass();
  var raw = no_mass();
  for (var tile = 0u; tile < TILES; tile++) {
    let begin = tile * tile_steps * WG + thread;
    let end = min((tile + 1u) * tile_steps * WG, params.classes);
    var top = F(NEG_MAX);
    for (var j = begin; j < end; j += WG) {
      let z = load_logits(row.logits, j);
      let term = load_class(j);
      scan_logit(&scan, z, j);
      let v = adjusted(z, F(term.scale), F(term.bias));
      let label = is_label(row, j);
      var u = uncompensated(row, term, j, v);
      if (TWO_STEP) {
        add_raw(&raw, v);
        top = max(top, select(v, F(NEG_MAX), label));
      } else {
        u = compensated(u, v, threshold);
      }
      var tau = F(0.0);
      if (HAS_DENSE) {
        tau = select(dense_target(row.dense, j, term.weight), F(0.0), label);
      }
      add_class(&mass, select(u, F(NEG_MAX), label), tau);
    }
    if (TWO_STEP) {
      tile_top[tile] = top;
    }
  }
  if (TWO_STEP) {
    raw = merge_over_workgroup(thread, raw);
    threshold = max(threshold, log_mass(raw) + params.seesaw_log_eps);
    for (var tile = 0u; tile < TILES; tile++) {
      if (!any_lane(tile_top[tile] > threshold)) {
        continue;
      }
      let begin = tile * tile_steps * WG + thread;
      let end = min((tile + 1u) * tile_steps * WG, params.classes);
      for (var j = begin; j < end; j += WG) {
        let term = load_class(j);
        let v = adjusted(load_logits(row.logits, j), F(term.scale), F(term.bias));
        let more = compensation(v, threshold);
        let u = uncompensated(row, term, j, v);
        // exp(u + more) - exp(u) = exp(u + more + log(1 - exp(-more)))
        let rises = (more > F(0.0)) & !is_label(row, j) & (u > F(NEG_MAX));
        let extra = min(u + more, F(POS_MAX)) + log(max(one_minus_exp(more), F(1e-38)));
        if (HAS_DENSE) {
          let tau = dense_target(row.dense, j, term.weight);
          mass.cross -= select(F(0.0), weighted(tau, more), rises);
        }
        add_class(&mass, select(F(NEG_MAX), extra, rises), F(0.0));
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
    for (var j = thread; j < params.classes; j += WG) {
      let term = load_class(j);
      let v = adjusted(load_logits(row.logits, j), F(term.scale), F(term.bias));
      let u = compensated(uncompensated(row, term, j, v), v, threshold);
      store_gradients(row.gradient, j, term.scale * gradient_u(row, out, j, u, term.weight), row.live);
    }
  }
}

fn add_raw(raw: ptr<function, Mass>, v: F) {
  let old = (*raw).max;
  let top = max(old, v);
  (*raw).sum = (*raw).sum * exp(old - top) + exp(v - top);
  (*raw).max = top;
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
