// A is [m, k], row by row.

fn a_rows() -> u32 {
  return params.m;
}

fn a_columns() -> u32 {
  return params.k;
}
