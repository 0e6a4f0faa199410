// For kernels that write the class table.
fn set_table(column: u32, j: u32, value: f32) {
  classes[(first_column() + column) * window.classes + j] = value;
}
