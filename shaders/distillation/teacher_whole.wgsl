// A teacher in f32.
alias TeacherWord = f32;

fn load_teacher(i: u32) -> f32 {
  return teacher[i];
}
