// The gradient of the regulariser alone.

fn open_terms(row: Row) {
  open_column_term(row.rows);
}

fn element_gradient(row: Row, j: u32, z: F) -> F {
  return column_term(j, z);
}
