// The terms of the normal form. Needs the header's HAS_ constants and columns, lanes*.wgsl and a bindings file.
//
//   v_j = scale * class_scale_j * z_j + bias_j
//   mass of class j != y: factor_j exp(v_j + compensation_j), v_j = NEG_MAX where gated

// What a class brings to every row; loaded once for all lanes. Absent terms cost nothing.
struct Class {
  scale: f32,
  bias: f32,
  power: f32,
  weight: f32,
  tail: bool,
}

fn load_class(j: u32) -> Class {
  var term: Class;
  term.scale = spec.scale;
  term.weight = 1.0;
  if (HAS_CLASS_SCALE) {
    term.scale = spec.scale * classes[COLUMN_CLASS_SCALE * window.classes + j];
  }
  if (HAS_BIAS) {
    term.bias = classes[COLUMN_BIAS * window.classes + j];
  }
  if (HAS_MITIGATION) {
    term.power = classes[COLUMN_POWER * window.classes + j];
  }
  if (HAS_CLASS_WEIGHTS) {
    term.weight = classes[COLUMN_WEIGHT * window.classes + j];
  }
  if (HAS_GATE) {
    term.tail = classes[COLUMN_TAIL * window.classes + j] != 0.0;
  }
  return term;
}

// v of a logit. -inf stays masked whatever the scale; what overflows upwards is held at the largest f32.
fn adjusted(z: F, scale: F, bias: F) -> F {
  var v = z * scale;
  if (HAS_BIAS) {
    v += bias;
  }
  return select(clamp(v, F(NEG_MAX), F(POS_MAX)), F(NEG_MAX), z < F(NEG_MAX));
}

// Seesaw's M_yj = min(1, (n_j / n_y)^p) from the class's n_j^p and the row's n_y^-p, both about a middle count so
// that they stay within f32: no exponential for each element.
fn mitigation(power: f32, inverse_power: F) -> F {
  return min(F(1.0), power * inverse_power);
}

// Seesaw's log C_j = q max(0, v_j - t), t = max(v_y, logsumexp(v) + log eps).
fn compensation(v: F, threshold: F) -> F {
  return spec.seesaw_q * max(F(0.0), v - threshold);
}

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

// Whether class j leaves the softmax of each lane's row, the target's exemption aside.
fn gated(rows: U, dense_base: U, j: u32, tail: bool) -> B {
  if (GATE_GIVEN) {
    return load_dense_lanes(dense_base, j) == F(0.0);
  }
  if (!tail) {
    return B(false);
  }
  let row = rows + window.first_row;
  let class_number = j + window.first_class;
  if (spec.gate_source == GATE_CLASS) {
    return closed(draw_words(U(0xffffffffu), U(class_number)));
  }
  return closed(draw_words_of_column(row, select(class_number, 0xffffffffu, spec.gate_source == GATE_SAMPLE)));
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

// The weight of -log q_j in the dense part of the loss: soft targets, or the uniform part of label smoothing.
fn dense_target(dense_base: U, j: u32, weight: f32) -> F {
  if (SOFT_TARGETS) {
    let t = load_dense_lanes(dense_base, j);
    return weight * ((1.0 - spec.label_smoothing) * t + spec.label_smoothing / f32(window.total_classes));
  }
  return F(weight);
}
