// A row's fields as the kernels before the rows leave them.

@group(0) @binding(2) var<storage, read_write> rows_out: array<u32>;

fn store_row(field: u32, row: u32, value: f32) {
  rows_out[field * window.rows + row] = bitcast<u32>(value);
}

fn read_row(field: u32, row: u32) -> f32 {
  return bitcast<f32>(rows_out[field * window.rows + row]);
}

fn label_of_row(row: u32) -> i32 {
  return bitcast<i32>(rows_out[FIELD_LABEL * window.rows + row]);
}
