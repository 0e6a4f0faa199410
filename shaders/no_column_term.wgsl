// No regulariser beside the loss.

fn open_column_term(rows: U) {}

fn with_column_term(j: u32, z: F, g: F) -> F {
  return g;
}
