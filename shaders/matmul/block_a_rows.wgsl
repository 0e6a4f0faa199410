// A is [m, k]: a row of it is a row of C.

fn a_rows() -> u32 {
  return params.m;
}

fn a_columns() -> u32 {
  return params.k;
}

// Column i holds rows m..m+4 of C at k + i.
fn block_a(m: u32, k: u32) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(
    load_a(m, k) * scale_a(m, k),
    load_a(m + 1u, k) * scale_a(m + 1u, k),
    load_a(m + 2u, k) * scale_a(m + 2u, k),
    load_a(m + 3u, k) * scale_a(m + 3u, k),
  ));
}
