// Experts: what a thread gathers of one of them, or in the last run of the classes that none has.

fn gather(thread: u32, row: Row, run: u32, all: ptr<function, Gathered>) {
  var begin = numbers.teacher_columns;
  var end = window.classes;
  let teaches = run < numbers.experts;
  if (teaches) {
    begin = u32(table(TABLE_BEGIN, run));
    end = numbers.teacher_columns;
  }
  if (run + 1u < numbers.experts) {
    end = u32(table(TABLE_BEGIN, run + 1u));
  }
  var stretch = nothing_gathered();
  stretch.student = (*all).student;
  stretch.teacher = (*all).teacher;
  var step = 0u;
  for (var first = begin + thread; first < end; first += 4u * WG) {
    let places = vec4<u32>(first, first + WG, first + 2u * WG, first + 3u * WG);
    let columns = min(places, vec4<u32>(end - 1u));
    let j = vec4<u32>(
      u32(table(TABLE_CLASS, columns.x)),
      u32(table(TABLE_CLASS, columns.y)),
      u32(table(TABLE_CLASS, columns.z)),
      u32(table(TABLE_CLASS, columns.w)),
    );
    let z = Quad(
      load_logits(row.logits, j.x),
      load_logits(row.logits, j.y),
      load_logits(row.logits, j.z),
      load_logits(row.logits, j.w),
    );
    // Nobody looks at the match of the last run.
    let masked = F(-bitcast<f32>(window.infinity));
    var t = Quad(masked, masked, masked, masked);
    if (teaches) {
      t = load_teacher_at(row, columns);
    }
    take_four(&stretch, row, j, z, t, places < vec4<u32>(end));
    step += 1u;
    if (step % STRETCH == 0u) {
      end_stretch(all, &stretch);
    }
  }
  end_stretch(all, &stretch);
  (*all).student = stretch.student;
  (*all).teacher = stretch.teacher;
}
