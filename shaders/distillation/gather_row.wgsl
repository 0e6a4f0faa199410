// One teacher for all classes: what a thread gathers of the whole row.

// Edges are blocks like others, but for columns outside of the row, which give others of the row and count nothing: all the
// code is one step.
fn gather(thread: u32, row: Row, run: u32, all: ptr<function, Gathered>) {
  let blocks = blocks_of_row(row);
  var stretch = nothing_gathered();
  for (var block = blocks.begin; block < blocks.end; block++) {
    let columns = columns_of(row, block, thread);
    let here = min(columns, vec4<u32>(window.classes - 1u));
    let z = load_edge(row, block, thread);
    let t = load_teacher_edge(row, block, thread);
    take_four(&stretch, row, here, z, t, columns < vec4<u32>(window.classes));
    if (block % STRETCH == STRETCH - 1u) {
      end_stretch(all, &stretch);
    }
  }
  end_stretch(all, &stretch);
  (*all).student = stretch.student;
  (*all).teacher = stretch.teacher;
}
