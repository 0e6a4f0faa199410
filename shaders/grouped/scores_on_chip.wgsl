// A number for each node of a row's tree, in workgroup memory.

var<workgroup> scores: array<u32, NODES>;

fn open_scores(row: u32) {
}

fn score_at(node: u32) -> u32 {
  return scores[node];
}

fn set_score(node: u32, bits: u32) {
  scores[node] = bits;
}

// What the workgroup has set is there.
fn scores_barrier() {
  workgroupBarrier();
}
