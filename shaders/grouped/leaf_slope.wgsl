// The derivative of the tree's loss by the score of the kept leaf that a number in left-to-right order names.

fn leaf_slope(row: Row, place: u32) -> f32 {
  let label = tables[spec.leaves + place];
  let leaf = leaf_of(row, label);
  // The gradient ends at the ceiling.
  if (!leaf.kept || leaf.raw > spec.ceiling) {
    return 0.0;
  }
  if (label == load_saved(SAVED_LEAF, row.rows)) {
    return -saved_number(row, SAVED_LEAF_REST);
  }
  return exp(leaf.raw - saved_number(row, SAVED_LEAF_REFERENCE));
}
