// A thread's four columns of a block, of the teacher as of the student. With TEACHER_PAIRS the teacher's rows start on the
// same half of a word as the pairs of columns do, and a pair is one word.

fn teacher_of(rows: U) -> U {
  return window.teacher_origin + rows * window.teacher_stride;
}

fn load_teacher_block(row: Row, block: u32, thread: u32) -> Quad {
  if (TEACHER_PAIRS) {
    let first = load_teacher_pairs(teacher_of(row.rows), column(row, block, thread, 0u));
    let second = load_teacher_pairs(teacher_of(row.rows), column(row, block, thread, 2u));
    return Quad(first.x, first.y, second.x, second.y);
  }
  return load_teacher_at(row, columns_of(row, block, thread));
}

// Columns outside of the row give others of the row, or of its words.
fn load_teacher_edge(row: Row, block: u32, thread: u32) -> Quad {
  let columns = columns_of(row, block, thread);
  if (TEACHER_PAIRS) {
    let start = teacher_of(row.rows);
    let begin = start & U(0xfffffffeu);
    let end = (start + (window.classes - 1u)) & U(0xfffffffeu);
    let first = load_teacher_pairs(clamp(start + columns.x, begin, end), 0u);
    let second = load_teacher_pairs(clamp(start + columns.z, begin, end), 0u);
    return Quad(first.x, first.y, second.x, second.y);
  }
  return load_teacher_at(row, min(columns, vec4<u32>(window.classes - 1u)));
}

fn load_teacher_at(row: Row, columns: vec4<u32>) -> Quad {
  let start = teacher_of(row.rows);
  return Quad(
    load_teacher_lanes(start, columns.x),
    load_teacher_lanes(start, columns.y),
    load_teacher_lanes(start, columns.z),
    load_teacher_lanes(start, columns.w),
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
