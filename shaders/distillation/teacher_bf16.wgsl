// A teacher in bf16, two in a word.
alias TeacherWord = u32;

fn load_teacher(i: u32) -> f32 {
  let word = teacher[i >> 1u];
  return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (i & 1u) == 1u));
}

// Elements i and i + 1, i even.
fn load_teacher_pair(i: u32) -> vec2<f32> {
  let word = teacher[i >> 1u];
  return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
}
