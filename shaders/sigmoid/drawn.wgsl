// The groups of classes that a background row was drawn for, by the last draw that is taken for each and the first row
// that is not taken with it.

fn store_drawn(row: u32, last: array<vec2<u32>, GROUPS>) {
  var lasts = last;
  var drawn = 0u;
  for (var group = 0u; group < GROUPS; group++) {
    let own = draw_of(row + window.first_row, group);
    let taken = own < lasts[group].x || own == lasts[group].x && window.batch_row + row < lasts[group].y;
    drawn |= select(0u, 1u << group, taken);
  }
  rows_out[FIELD_DRAWN * window.rows + row] = drawn;
}
