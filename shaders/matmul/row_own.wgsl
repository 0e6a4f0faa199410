// Each thread has a row, or a part of one, of its own: on processors, where handing a sum over costs more than the sum.

const ROW_LANES: u32 = 1u;

fn sum_over_threads(thread: u32, value: f32) -> f32 {
  return value;
}

fn open_sum() {
}
