// A pass without a gradient.
fn gradient_of_row(row: Row, thread: u32) {
}
