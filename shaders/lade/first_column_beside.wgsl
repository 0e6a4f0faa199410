// The regulariser's columns of the class table follow those of the cross-entropy that it stands beside.

fn first_column() -> u32 {
  return spec.regulariser_column;
}
