// Writing C, whatever its elements are.

// Four consecutive elements of a row, added to what is there if that is asked for. What is outside of the matrix, or from
// column `end` on, is not touched.
fn store_sum(row: u32, column: u32, end: u32, value: vec4<f32>) {
  if (row >= params.m || column >= end) {
    return;
  }
  var sum = value;
  if (params.accumulate != 0u) {
    sum += load_c(row, column);
  }
  write_c(row, column, end, sum);
}

// alpha times four consecutive elements.
fn store_c(row: u32, column: u32, end: u32, value: vec4<f32>) {
  store_sum(row, column, end, params.alpha * value);
}
