// A row, or a part of one, is shared by the threads of a workgroup, whose sum every one of them gets, in a fixed order.

const ROW_LANES: u32 = WG;

var<workgroup> row_sums: array<f32, WG>;

fn sum_over_threads(thread: u32, value: f32) -> f32 {
  row_sums[thread] = value;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      row_sums[thread] += row_sums[thread + half];
    }
    workgroupBarrier();
  }
  return row_sums[0];
}

// To be called between two sums: threads may still be reading the first one.
fn open_sum() {
  workgroupBarrier();
}
