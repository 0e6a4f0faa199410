// Whether a row's gate of a node other than the root is open: drawn.
fn own_gate(row: Row, segment: u32) -> bool {
  return (draw_word(row.rows + window.first_row, segment) >> 8u) >= spec.drop_threshold;
}
