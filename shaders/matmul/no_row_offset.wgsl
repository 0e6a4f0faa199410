// Nothing is added to the rows of C.

fn row_offset(m: u32) -> f32 {
  return 0.0;
}
