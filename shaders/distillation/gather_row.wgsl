// One teacher for all classes: what a thread gathers of the whole row.

fn gather(thread: u32, row: Row, run: u32, all: ptr<function, Gathered>) {
  let blocks = blocks_of_row(row);
  // The edges first, with checks: the whole blocks need none.
  for (var which = 0u; which < WIDTH; which++) {
    let block = edge_block(blocks, which);
    if (block != NO_BLOCK) {
      let columns = columns_of(row, block, thread);
      let here = min(columns, vec4<u32>(window.classes - 1u));
      let t = load_teacher_at(row, here);
      let z = load_edge(row, block, thread);
      take_four(all, row, here, z, t, columns < vec4<u32>(window.classes));
    }
  }
  var stretch = nothing_gathered();
  for (var block = blocks.whole_begin; block < blocks.whole_end; block++) {
    let z = load_block(row, block, thread);
    let t = load_teacher_block(row, block, thread);
    take_four(&stretch, row, columns_of(row, block, thread), z, t, vec4<bool>(true));
    if (block % STRETCH == STRETCH - 1u) {
      end_stretch(all, &stretch);
    }
  }
  end_stretch(all, &stretch);
  (*all).student = merged_scan((*all).student, stretch.student);
  (*all).teacher = merged_scan((*all).teacher, stretch.teacher);
}
