// Generated gates: draws by seed, step, row and class. Needs the family's spec, the gates' key in the scalars, and the
// class table's column COLUMN_TAIL.

struct Words {
  x: P,
  y: P,
}

// Threefry-2x32 with 20 rounds: the host's generator, bit for bit.
fn threefry(c0: P, c1: P) -> Words {
  let k0 = scalars[SCALAR_KEY_0];
  let k1 = scalars[SCALAR_KEY_1];
  let k2 = 0x1BD11BDAu ^ k0 ^ k1;
  var x = c0 + k0;
  var y = c1 + k1;
  for (var block = 0u; block < 5u; block++) {
    if ((block & 1u) == 0u) {
      x += y; y = ((y << P(13u)) | (y >> P(19u))) ^ x;
      x += y; y = ((y << P(15u)) | (y >> P(17u))) ^ x;
      x += y; y = ((y << P(26u)) | (y >> P(6u))) ^ x;
      x += y; y = ((y << P(6u)) | (y >> P(26u))) ^ x;
    } else {
      x += y; y = ((y << P(17u)) | (y >> P(15u))) ^ x;
      x += y; y = ((y << P(29u)) | (y >> P(3u))) ^ x;
      x += y; y = ((y << P(16u)) | (y >> P(16u))) ^ x;
      x += y; y = ((y << P(24u)) | (y >> P(8u))) ^ x;
    }
    // The key words take turns: block b adds words b + 1 and b + 2 (mod 3).
    let turn = (block + 1u) % 3u;
    let first = select(select(k2, k1, turn == 1u), k0, turn == 0u);
    let second = select(select(k0, k2, turn == 1u), k1, turn == 0u);
    x += first;
    y += second + block + 1u;
  }
  return Words(x, y);
}

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
  return closed(draw_words_of_column(row, column));
}

// A row's draw is the word of its own parity: two rows share one call of the generator.
fn closed(word: U) -> B {
  return (word >> U(8u)) < U(spec.drop_threshold);
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
  return closed(draw_words(row, class_number)) & (load_class_at(COLUMN_TAIL, j) != F(0.0));
}
