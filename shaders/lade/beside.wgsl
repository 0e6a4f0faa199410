// The regulariser beside a cross-entropy: its columns of the class table follow the cross-entropy's, and so does its
// gradient.

fn first_column() -> u32 {
  return spec.regulariser_column;
}

fn with_column_term(j: u32, z: F, g: F) -> F {
  return g + column_term(j, z);
}
