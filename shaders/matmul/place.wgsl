// Where a workgroup's part of C begins: rows first, so that neighbours share columns of B.
fn group_place(group: u32) -> vec2<u32> {
  return vec2<u32>(group % params.tiles_m, group / params.tiles_m) * vec2<u32>(GROUP_M, GROUP_N);
}

// Four columns of a row of C, with the factors of rows that are left to the end.
fn store_row(m: u32, n: u32, value: vec4<f32>) {
  store_c(m, n, params.n, value * (late_a(m) * late_b(n)));
}
