// Where a workgroup's part of C begins: rows first, so that neighbours share columns of B.
fn group_place(group: u32) -> vec2<u32> {
  return vec2<u32>(group % params.tiles_m, group / params.tiles_m) * vec2<u32>(GROUP_M, GROUP_N);
}
