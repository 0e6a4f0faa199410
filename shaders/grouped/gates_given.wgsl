// Whether a row's gate of a node other than the root is open: the caller says it, [N, G].
fn own_gate(row: Row, segment: u32) -> bool {
  return load_dense(row.dense + segment) != 0.0;
}
