// No background row is drawn here.
fn draw_rows(thread: u32) {
}
