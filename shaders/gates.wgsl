// Generated gates: draws by seed, step, row and class. Needs the family's spec, step_draws.wgsl, and the class table's column
// COLUMN_TAIL.

// Whether class j leaves the softmax of each lane's row, the target's exemption aside. One call site of the generator:
// a driver that runs both sides of a branch would pay for each.
fn gated(rows: U, dense_base: U, j: u32, tail: bool) -> B {
  if (GATE_GIVEN) {
    return load_dense_lanes(dense_base, j) == F(0.0);
  }
  if (!tail) {
    return B(false);
  }
  let row = select(rows + window.first_row, U(0xffffffffu), B(spec.gate_source == GATE_CLASS));
  let column = select(j + window.first_class, 0xffffffffu, spec.gate_source == GATE_SAMPLE);
  return closed(draws_of_column(row, column));
}

fn closed(draws: U) -> B {
  return draws < U(spec.drop_threshold);
}

// The same for each lane's own class (two-label rows ask it of the other label's column).
fn gated_at(rows: U, dense_base: U, j: U) -> B {
  if (GATE_GIVEN) {
    return load_dense_at(dense_base, j) == F(0.0);
  }
  var row = rows + window.first_row;
  var class_number = j + window.first_class;
  if (spec.gate_source == GATE_SAMPLE) {
    class_number = U(0xffffffffu);
  }
  if (spec.gate_source == GATE_CLASS) {
    row = U(0xffffffffu);
  }
  return closed(draws_of(row, class_number)) & (load_class_at(COLUMN_TAIL, j) != F(0.0));
}
