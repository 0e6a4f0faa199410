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
