// A is [m, k]: thread i of the subgroup reads row i of eight, four k long.

fn own_a(m: u32, k: u32, lane: u32) -> vec4<f32> {
  return load_a(m + lane, k) * scale_a(m + lane, k);
}

// What the first four threads have; column i holds the rows at k + i.
fn low_rows(own: vec4<f32>) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(
    subgroupBroadcast(own, 0u),
    subgroupBroadcast(own, 1u),
    subgroupBroadcast(own, 2u),
    subgroupBroadcast(own, 3u),
  ));
}

fn high_rows(own: vec4<f32>) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(
    subgroupBroadcast(own, 4u),
    subgroupBroadcast(own, 5u),
    subgroupBroadcast(own, 6u),
    subgroupBroadcast(own, 7u),
  ));
}

// The sum of row `lane` of eight, from what each thread has added up.
fn row_sum(own: vec4<f32>, lane: u32) -> f32 {
  return (own.x + own.y) + (own.z + own.w);
}
