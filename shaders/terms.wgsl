// The terms of the normal form. Needs the header's HAS_ constants and columns, lanes*.wgsl and a bindings file.
//
//   v_j = scale * class_scale_j * z_j + bias_j
//   mass of class j != y: factor_j exp(v_j + compensation_j), v_j = NEG_MAX where gated

// What a class brings to every row; loaded once for all lanes. Absent terms cost nothing.
struct Class {
  scale: f32,        // the spec's, times the class's own
  class_scale: f32,
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
    term.class_scale = classes[COLUMN_CLASS_SCALE * window.classes + j];
    term.scale = spec.scale * term.class_scale;
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
  let held = clamp(v, F(NEG_MAX), F(POS_MAX));
  if (HAS_CLASS_SCALE) {
    return select(held, F(NEG_MAX), z < F(NEG_MAX));
  }
  // The spec's scale is above 0: -inf comes out as -inf. A class's own may be 0 or below.
  return held;
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

// The weight of -log q_j in the dense part of the loss: soft targets, or the uniform part of label smoothing.
fn dense_target(dense_base: U, j: u32, weight: f32) -> F {
  if (SOFT_TARGETS) {
    let t = load_dense_lanes(dense_base, j);
    return weight * ((1.0 - spec.label_smoothing) * t + spec.label_smoothing / f32(window.total_classes));
  }
  return F(weight);
}
