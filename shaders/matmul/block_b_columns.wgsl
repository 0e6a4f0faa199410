// B is [k, n]: a column of it is a column of C.

fn b_rows() -> u32 {
  return params.k;
}

fn b_columns() -> u32 {
  return params.n;
}

// Column i holds columns n..n+4 of C at k + i.
fn block_b(n: u32, k: u32) -> mat4x4<f32> {
  return mat4x4<f32>(
    load_b(k, n) * scale_b(k, n),
    load_b(k + 1u, n) * scale_b(k + 1u, n),
    load_b(k + 2u, n) * scale_b(k + 2u, n),
    load_b(k + 3u, n) * scale_b(k + 3u, n),
  );
}
