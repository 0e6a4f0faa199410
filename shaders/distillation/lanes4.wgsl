// The teacher of four rows per thread.

fn load_teacher_lanes(base: U, j: u32) -> F {
  return F(load_teacher(base.x + j), load_teacher(base.y + j), load_teacher(base.z + j), load_teacher(base.w + j));
}

// Columns j and j + 1.
fn load_teacher_pairs(base: U, j: u32) -> Pair {
  let x = load_teacher_pair(base.x + j);
  let y = load_teacher_pair(base.y + j);
  let z = load_teacher_pair(base.z + j);
  let w = load_teacher_pair(base.w + j);
  return Pair(F(x.x, y.x, z.x, w.x), F(x.y, y.y, z.y, w.y));
}
