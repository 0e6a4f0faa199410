// The statistics of one piece of LANES rows per workgroup, into the piece's slot.
//
// Dispatch: a workgroup for each piece of each group of LANES rows. With seesaw's floor twice: the first time with
// TWO_STEP, for the raw mass; then, once `threshold` has run, AGAIN for the compensated one. The pieces in which no
// class lies above the threshold are not read again, unless the label's counts were not known the first time.

fn piece_changes(slot: u32, row: Row, threshold: F) -> bool {
  if (!AGAIN || SHARDED) {
    return true;
  }
  return any_lane(float_of_bits(load_saved(slot_field(slot, SLOT_TOP), row.rows)) > threshold);
}

fn partial_rows(thread: u32, group: u32, piece: u32) {
  let row = open_row(group);
  let slot = window.first_slot + piece;
  var threshold = F(POS_MAX);
  var blocks = blocks_of_piece(row, piece);
  var changes = true;
  if (HAS_COMPENSATION && !TWO_STEP) {
    threshold = float_of_bits(load_saved(SAVED_THRESHOLD, row.rows));
    changes = piece_changes(slot, row, threshold);
    if (!changes) {
      // No column is left to read. All threads go on to the barriers: a compiler cannot know that they agree.
      blocks = Blocks(blocks.begin, blocks.begin, blocks.begin, blocks.begin);
    }
  }
  var tile_top: array<F, TILES>;
  let first = first_pass(row, thread, blocks, blocks.end - blocks.begin + 1u, threshold, &tile_top);
  let total = merge_over_workgroup(thread, first.mass);
  var top = F(NEG_MAX);
  if (TWO_STEP) {
    top = max_over_workgroup(thread, first.top);
  }
  let found = found_over_workgroup(thread, first.scan);
  if (thread == 0u && changes) {
    store_part(slot, row, total, found);
    if (TWO_STEP) {
      store_slot(slot, SLOT_TOP, row, bits_of(top));
    }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let index = linear_workgroup(id, count);
  let group = index / window.pieces;
  if (is_group(group)) {
    partial_rows(local.x, group, index % window.pieces);
  }
}
