// A pass without a gradient.
fn ascend(thread: u32, label: i32) {
}
