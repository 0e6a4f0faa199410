// B is [n, k]: a row of it is a column of C.

fn b_rows() -> u32 {
  return params.n;
}

fn b_columns() -> u32 {
  return params.k;
}

// Column i holds columns n..n+4 of C at k + i.
fn block_b(n: u32, k: u32) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(
    load_b(n, k) * scale_b(n, k),
    load_b(n + 1u, k) * scale_b(n + 1u, k),
    load_b(n + 2u, k) * scale_b(n + 2u, k),
    load_b(n + 3u, k) * scale_b(n + 3u, k),
  ));
}
