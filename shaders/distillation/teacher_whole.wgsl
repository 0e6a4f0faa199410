// A teacher in f32.
alias TeacherWord = f32;

fn load_teacher(i: u32) -> f32 {
  return teacher[i];
}

// Elements i and i + 1.
fn load_teacher_pair(i: u32) -> vec2<f32> {
  return vec2<f32>(teacher[i], teacher[i + 1u]);
}
