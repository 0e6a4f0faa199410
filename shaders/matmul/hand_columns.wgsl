// A is [k, m]: threads 0 to 3 of the subgroup read four rows of C at k to k + 3, threads 4 to 7 the next four.

fn own_a(m: u32, k: u32, lane: u32) -> vec4<f32> {
  let row = k + lane % 4u;
  let column = m + 4u * (lane / 4u);
  return load_a(row, column) * scale_a(row, column);
}

// What the first four threads have; column i holds the rows at k + i.
fn low_rows(own: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(
    subgroupBroadcast(own, 0u),
    subgroupBroadcast(own, 1u),
    subgroupBroadcast(own, 2u),
    subgroupBroadcast(own, 3u),
  );
}

fn high_rows(own: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(
    subgroupBroadcast(own, 4u),
    subgroupBroadcast(own, 5u),
    subgroupBroadcast(own, 6u),
    subgroupBroadcast(own, 7u),
  );
}

// The sum of row `lane` of eight, from what each thread has added up.
fn row_sum(own: vec4<f32>, lane: u32) -> f32 {
  let low = low_rows(own);
  let high = high_rows(own);
  let first = (low[0] + low[1]) + (low[2] + low[3]);
  let second = (high[0] + high[1]) + (high[2] + high[3]);
  return select(first, second, lane >= 4u)[lane % 4u];
}
