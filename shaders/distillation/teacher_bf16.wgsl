// A teacher in bf16, two in a word.
alias TeacherWord = u32;

fn load_teacher(i: u32) -> f32 {
  let word = teacher[i >> 1u];
  return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (i & 1u) == 1u));
}
