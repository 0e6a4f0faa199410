// A gradient whose elements have a word each.
fn write_half(row: Row, j: u32, g: f32) {
}
