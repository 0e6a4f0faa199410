// The teacher of one row per thread.

fn load_teacher_lanes(base: U, j: u32) -> F {
  return load_teacher(base + j);
}

// Columns j and j + 1.
fn load_teacher_pairs(base: U, j: u32) -> Pair {
  let pair = load_teacher_pair(base + j);
  return Pair(pair.x, pair.y);
}
