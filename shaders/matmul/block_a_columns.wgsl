// A is [k, m]: a column of it is a row of C.

fn a_rows() -> u32 {
  return params.k;
}

fn a_columns() -> u32 {
  return params.m;
}

// Column i holds rows m..m+4 of C at k + i.
fn block_a(m: u32, k: u32) -> mat4x4<f32> {
  return mat4x4<f32>(
    load_a(k, m) * scale_a(k, m),
    load_a(k + 1u, m) * scale_a(k + 1u, m),
    load_a(k + 2u, m) * scale_a(k + 2u, m),
    load_a(k + 3u, m) * scale_a(k + 3u, m),
  );
}
