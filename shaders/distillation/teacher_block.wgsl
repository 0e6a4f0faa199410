// A thread's four columns of a block, of the teacher as of the student. With TEACHER_PAIRS the teacher's rows start on the
// same half of a word as the pairs of columns do, and a pair is one word.

fn load_teacher_block(row: Row, block: u32, thread: u32) -> Quad {
  if (TEACHER_PAIRS) {
    let first = load_teacher_pairs(row.dense, column(row, block, thread, 0u));
    let second = load_teacher_pairs(row.dense, column(row, block, thread, 2u));
    return Quad(first.x, first.y, second.x, second.y);
  }
  return load_teacher_at(row, columns_of(row, block, thread));
}

// Columns outside of the row give others of the row, or of its words.
fn load_teacher_edge(row: Row, block: u32, thread: u32) -> Quad {
  let columns = columns_of(row, block, thread);
  if (TEACHER_PAIRS) {
    let begin = row.dense & U(0xfffffffeu);
    let end = (row.dense + (window.classes - 1u)) & U(0xfffffffeu);
    let first = load_teacher_pairs(clamp(row.dense + columns.x, begin, end), 0u);
    let second = load_teacher_pairs(clamp(row.dense + columns.z, begin, end), 0u);
    return Quad(first.x, first.y, second.x, second.y);
  }
  return load_teacher_at(row, min(columns, vec4<u32>(window.classes - 1u)));
}

fn load_teacher_at(row: Row, columns: vec4<u32>) -> Quad {
  return Quad(
    load_teacher_lanes(row.dense, columns.x),
    load_teacher_lanes(row.dense, columns.y),
    load_teacher_lanes(row.dense, columns.z),
    load_teacher_lanes(row.dense, columns.w),
  );
}

fn columns_of(row: Row, block: u32, thread: u32) -> vec4<u32> {
  return vec4<u32>(
    column(row, block, thread, 0u),
    column(row, block, thread, 1u),
    column(row, block, thread, 2u),
    column(row, block, thread, 3u),
  );
}
