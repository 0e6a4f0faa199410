// Rows in equal parts.

// A part: the row, its part, where that begins and ends.
struct Part {
  row: u32,
  scale: u32,  // row * parts + part
  start: u32,
  end: u32,
}

fn open_part(index: u32) -> Part {
  let row = index / params.a_parts;
  let start = (index % params.a_parts) * params.a_part;
  return Part(row, index, start, min(start + params.a_part, params.k));
}

// Four elements of a part; 0 beyond its end.
fn in_part(values: vec4<f32>, column: u32, end: u32) -> vec4<f32> {
  let columns = vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u);
  return select(vec4<f32>(0.0), values, columns < vec4<u32>(end));
}
