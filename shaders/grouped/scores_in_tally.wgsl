// A number for each node of a row's tree, for trees that workgroup memory does not hold: behind the tally, a stretch for
// each row of a window. Windows take turns with it.

var<private> scores_begin: u32;

fn open_scores(row: u32) {
  scores_begin = (spec.segments + 1u) * TALLY_FIELDS + row * spec.segments;
}

fn score_at(node: u32) -> u32 {
  return tally[scores_begin + node];
}

fn set_score(node: u32, bits: u32) {
  tally[scores_begin + node] = bits;
}

// What the workgroup has set is there.
fn scores_barrier() {
  storageBarrier();
  workgroupBarrier();
}
