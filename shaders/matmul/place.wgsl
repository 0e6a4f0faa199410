// Where a workgroup's part of C begins. Neighbours go along the shorter side of C, so that what the longer one reads
// is read once while it is near.
fn group_place(group: u32) -> vec2<u32> {
  let tiles_n = params.tiles / params.tiles_m;
  var tile = vec2<u32>(group % params.tiles_m, group / params.tiles_m);
  if (params.tiles_m > tiles_n) {
    tile = vec2<u32>(group / tiles_n, group % tiles_n);
  }
  return tile * vec2<u32>(GROUP_M, GROUP_N);
}

// Four columns of a row of C, with the factors of rows that are left to the end.
fn store_row(m: u32, n: u32, value: vec4<f32>) {
  store_c(m, n, params.n, value * (late_a(m) * late_b(n)));
}

fn store_quad(m: u32, n: u32, q: mat4x4<f32>) {
  store_row(m, n, q[0]);
  store_row(m + 1u, n, q[1]);
  store_row(m + 2u, n, q[2]);
  store_row(m + 3u, n, q[3]);
}
