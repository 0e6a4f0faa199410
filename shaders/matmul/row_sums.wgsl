// The sums over k of what stands before the rows of C: of A's rows, or of its columns where A is [k, m]. The workgroups at
// C's first columns write them, from what they read anyway.

@group(0) @binding(8) var<storage, read_write> row_sums: array<f32>;

fn put_row_sum(m: u32, sum: f32) {
  if (m >= params.m) {
    return;
  }
  let at = params.row_sum_origin + m;
  if (params.accumulate != 0u) {
    row_sums[at] += sum;
  } else {
    row_sums[at] = sum;
  }
}
