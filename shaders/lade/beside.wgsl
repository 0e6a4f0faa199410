// The regulariser beside a cross-entropy, to whose gradient it adds its own.

fn with_column_term(j: u32, z: F, g: F) -> F {
  return g + column_term(j, z);
}
