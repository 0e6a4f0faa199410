// dL / dx: along the pairs that were picked, and along the line between the two nearest centres.

var<private> row_factor: f32;
var<private> row_bad: bool;
var<private> row_class: u32;
// What the centres' difference is multiplied by.
var<private> row_pull: f32;

fn open_terms(row: Row) {
  row_factor = load_upstream(row.rows);
  row_bad = is_nan(held_number(SAVED_LOSS, row.rows));
  row_class = held(SAVED_FIRST_ROW, row.rows);
  row_pull = 0.0;
  if (row_class != NO_ROW) {
    let pull = held_number(SAVED_CENTRE_FACTOR, 0u) / f32(held(SAVED_SIZE, row_class));
    let sign = select(0.0, -1.0, row_class == held(SAVED_CENTRE_A, 0u));
    row_pull = pull * select(sign, 1.0, row_class == held(SAVED_CENTRE_B, 0u));
  }
}

fn element_gradient(row: Row, j: u32, z: f32) -> f32 {
  var g = 0.0;
  if (row_class != NO_ROW) {
    for (var pair = 0u; pair < numbers.pairs; pair++) {
      let at = SAVED_PAIRS + PAIR_FIELDS * pair;
      let a = held(at, row_class);
      let b = held(at + 1u, row_class);
      if (a == row.rows) {
        g += held_number(at + 2u, row_class) * (z - feature(b, j));
      } else if (b == row.rows) {
        g += held_number(at + 2u, row_class) * (z - feature(a, j));
      }
    }
    if (row_pull != 0.0) {
      g += row_pull * (centre(held(SAVED_CENTRE_A, 0u), j) - centre(held(SAVED_CENTRE_B, 0u), j));
    }
  }
  return select(row_factor * g, bitcast<f32>(window.nan), row_bad);
}
