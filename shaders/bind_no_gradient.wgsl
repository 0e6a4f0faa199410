// A kernel that writes no gradient.
fn store_gradient(i: u32, value: f32) {
}
