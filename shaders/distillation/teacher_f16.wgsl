// A teacher in f16, two in a word.
alias TeacherWord = u32;

fn load_teacher(i: u32) -> f32 {
  let pair = unpack2x16float(teacher[i >> 1u]);
  return select(pair.x, pair.y, (i & 1u) == 1u);
}

// Elements i and i + 1, i even.
fn load_teacher_pair(i: u32) -> vec2<f32> {
  return unpack2x16float(teacher[i >> 1u]);
}
