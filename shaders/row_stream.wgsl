// Loss of LANES rows per workgroup, rows of any length: one pass over the logits for the mass, and with
// WRITE_GRADIENT a second one for the gradient.
//
// Dispatch: a workgroup for each group of LANES rows. Workgroup memory: the trees of workgroup.wgsl and one RowLoss.

// Adds what compensation adds to the classes of one stretch above the threshold; tile_top is the largest u there.
fn compensate(row: Row, thread: u32, begin: u32, end: u32, threshold: F, tile_top: F, mass: ptr<function, Mass>) {
  let top = max((*mass).max, compensated(tile_top, threshold));
  raise(mass, top);
  var sum = F(0.0);
  var cross = F(0.0);
  for (var i = 4u * begin; i < 4u * end; i++) {
    let j = column(row, i >> 2u, thread, i & 3u);
    if (is_inside(j)) {
      let term = load_class(j);
      let at = at_label(row, j);
      let raw = kept_logit(row, term, j, load_logits(row.logits, j), at);
      let u = compensated(raw, threshold);
      let factor = select(class_factor(row, term), F(0.0), is_label(at));
      sum += factor * (exp_scaled(u - top) - exp_scaled(raw - top));
      if (HAS_DENSE) {
        let tau = select(dense_target(row.dense, j, term.weight), F(0.0), is_label(at));
        cross += weighted(tau, select(spec.scale * (u - raw), F(0.0), raw <= F(NEG_MAX)));
      }
    }
  }
  (*mass).sum += sum;
  (*mass).cross -= cross;
}

fn stream_row(thread: u32, group: u32) {
  keep_group(thread, group);
  let row = open_row(group);
  let labels = label_logits(row);
  let blocks = blocks_of_piece(row, 0u);
  let tile_blocks = (blocks.end + TILES - 1u) / TILES;
  var threshold = own_threshold(labels.first);
  var tile_top: array<F, TILES>;
  let first = first_pass(row, thread, blocks, tile_blocks, threshold, &tile_top);
  var total = merge_over_workgroup(thread, first.mass);
  if (TWO_STEP) {
    var mass = first.mass;
    let again = opened_again();
    threshold = floor_threshold(labels.first, total);
    for (var tile = 0u; tile * tile_blocks < blocks.end; tile++) {
      if (any_lane(tile_top[tile] > threshold)) {
        let begin = tile * tile_blocks;
        compensate(again, thread, begin, min(begin + tile_blocks, blocks.end), threshold, tile_top[tile], &mass);
      }
    }
    total = merge_over_workgroup(thread, mass);
  }
  let out = close_row(thread, row, total, labels, threshold, first.scan);
  if (WRITE_GRADIENT) {
    let again = opened_again();
    gradient_pass(again, thread, blocks_of_piece(again, 0u), out, threshold);
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
    stream_row(local.x, group);
  }
}
