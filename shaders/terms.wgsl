// The terms of the normal form. Needs the header's HAS_ constants and columns, lanes*.wgsl and a bindings file.
//
//   v_j = scale * class_scale_j * z_j + bias_j
//   mass of class j != y: factor_j exp(v_j + compensation_j), v_j = NEG_MAX where gated
//
// Loops over classes count in units of the spec's scale, u = v / scale: without a class's own scale and bias u is the logit
// as it stands, and the scale is met once, in the exponent of a difference (exp_scaled). What belongs to a row (the labels'
// v, log-sum-exp) is in logs.

// What a class brings to every row; loaded once for all lanes. Absent terms cost nothing.
struct Class {
  class_scale: f32,
  bias: f32,         // in units of the spec's scale
  power: f32,
  weight: f32,
  tail: bool,
}

fn load_class(j: u32) -> Class {
  var term: Class;
  term.weight = 1.0;
  if (HAS_CLASS_SCALE) {
    term.class_scale = classes[COLUMN_CLASS_SCALE * window.classes + j];
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

// Whether a masked class may be NEG_MAX; where u is the logit as it stands it is -inf.
const MASKS_BY_NUMBER: bool = HAS_CLASS_SCALE || HAS_BIAS || HAS_GATE || GATE_GIVEN;

// u of a logit. -inf stays masked whatever the class's scale; what overflows upwards is held at the largest f32.
fn adjusted(z: F, class_scale: F, bias: F) -> F {
  if (!HAS_CLASS_SCALE && !HAS_BIAS) {
    return z;
  }
  var u = z;
  if (HAS_CLASS_SCALE) {
    u *= class_scale;
  }
  if (HAS_BIAS) {
    u += bias;
  }
  let held = min(u, F(POS_MAX));
  if (HAS_CLASS_SCALE) {
    return select(held, F(NEG_MAX), z < F(NEG_MAX));
  }
  return held;
}

// exp(scale x) of a difference of two u.
fn exp_scaled(x: F) -> F {
  return exp2(spec.exponent_scale * x);
}

// v of u, held within f32; a mask stays one.
fn in_logs(u: F) -> F {
  return select(clamp(spec.scale * u, F(NEG_MAX), F(POS_MAX)), F(NEG_MAX), u <= F(NEG_MAX));
}

// u of v; what stands for infinity stays as it is.
fn in_units(v: F) -> F {
  return select(clamp(spec.inverse_scale * v, F(NEG_MAX), F(POS_MAX)), v, abs(v) >= F(POS_MAX));
}

// Seesaw's M_yj = min(1, (n_j / n_y)^p) from the class's n_j^p and the row's n_y^-p, both about a middle count so
// that they stay within f32: no exponential for each element.
fn mitigation(power: f32, inverse_power: F) -> F {
  return min(F(1.0), power * inverse_power);
}

// Seesaw's log C_j = q max(0, v_j - t), t = max(v_y, logsumexp(v) + log eps), all in units.
fn compensation(u: F, threshold: F) -> F {
  return spec.seesaw_q * max(F(0.0), u - threshold);
}

// The weight of -log q_j in the dense part of the loss: soft targets, or the uniform part of label smoothing.
fn dense_target(dense_base: U, j: u32, weight: f32) -> F {
  if (SOFT_TARGETS) {
    let t = load_dense_lanes(dense_base, j);
    return weight * ((1.0 - spec.label_smoothing) * t + spec.label_smoothing / f32(window.total_classes));
  }
  return F(weight);
}
