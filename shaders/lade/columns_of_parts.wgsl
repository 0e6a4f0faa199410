// A thread's part of its columns, where the rows' kernel has left sums of theirs (rows_and_columns.wgsl): these are put
// together; what labels say of a column is gathered here.

@group(0) @binding(9) var<storage, read> column_parts: array<f32>;

fn four_of_part(part: u32, number: u32, j: vec4<u32>) -> vec4<f32> {
  let at = (2u * part + number) * window.classes + j;
  return vec4<f32>(column_parts[at.x], column_parts[at.y], column_parts[at.z], column_parts[at.w]);
}

fn add_label(mine: ptr<function, Columns>, row: u32, labels: vec4<i32>) {
  let label = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + row]);
  (*mine).kept += select(0.0, 1.0, label >= 0);
  let own = vec4<i32>(label) == labels;
  if (any(own)) {
    let column = u32(label - i32(window.first_class));
    let z = load_logit(window.logits_origin + row * window.logits_stride + column);
    add_own(mine, vec4<f32>(z), own);
  }
}

fn gathered(thread: u32, j: vec4<u32>) -> Columns {
  let labels = vec4<i32>(j + window.first_class);
  var mine = Columns(vec4<f32>(NEG_MAX), vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0), 0.0);
  for (var part = thread / QUADS; part < min(numbers.parts, (window.rows + 15u) / 16u); part += ROW_THREADS) {
    let none = vec4<f32>(0.0);
    mine = merge(mine, Columns(four_of_part(part, 0u, j), four_of_part(part, 1u, j), none, none, 0.0));
  }
  for (var row = thread / QUADS; row < window.rows; row += ROW_THREADS) {
    add_label(&mine, row, labels);
  }
  return mine;
}
