// Loss of LANES rows per workgroup, rows of any length: one pass over the logits for the mass, and with
// WRITE_GRADIENT a second one for the gradient.
//
// Dispatch: a workgroup for each group of LANES rows. Workgroup memory: the trees of workgroup.wgsl and one RowLoss.

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
