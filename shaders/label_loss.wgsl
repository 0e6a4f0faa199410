// From the mass of a row's classes to its loss and the coefficients of its gradient. One thread per row does this.
//
// In u, with o the log mass of the other classes and d = o - u_y:
//   l = softplus(d), 1 - p = sigmoid(d): both exact near p = 1, where 1 - exp(-l) would cancel.
// Here u is in logs, but for the reference, which is what loops over classes need: dL/du_j = coefficient *
// exp_scaled(u_j - reference) - dense * tau_j for classes that are no label, u_j in units of the spec's scale; the labels'
// own columns are first and second.

struct RowLoss {
  loss: F,
  log_sum_exp: F,
  probability: F,
  coefficient: F,
  reference: F,
  dense: F,
  first: F,
  second: F,
  bad: B,
}

struct LabelLoss {
  loss: F,        // modulated F(l) times influence
  slope: F,       // its derivative in l
  l: F,
  log_sum_exp: F,
  p: F,
  q: F,           // 1 - p
}

// x^gamma from log x, with 0^0 = 1.
fn power_of_log(log_x: F, gamma: f32) -> F {
  if (gamma == 0.0) {
    return F(1.0);
  }
  return exp(gamma * log_x);
}

fn label_loss(others: F, u: F, weight: F, feature: F) -> LabelLoss {
  var out: LabelLoss;
  let infinity = F(bitcast<f32>(window.infinity));
  let d = others - u;
  let e = exp(-abs(d));
  out.p = select(1.0 / (1.0 + e), e / (1.0 + e), d > F(0.0));
  out.q = select(e / (1.0 + e), 1.0 / (1.0 + e), d > F(0.0));
  let masked = u <= F(NEG_MAX);
  out.l = select(softplus(d), infinity, masked);
  out.log_sum_exp = select(max(others, u) + log1p_unit(e), others, masked);
  // F(l) = w (1 - p)^gamma l and its derivative; gamma (1-p)^(gamma-1) p l is written with l / (1-p), which
  // tends to 1 as p tends to 1.
  var x = out.l;
  var p = out.p;
  var log_q = -softplus(-d);
  var ratio = select(out.l / max(out.q, F(1e-38)), F(1.0), out.q < F(1e-30));
  let inside = (spec.focal_flags & FOCAL_WEIGHT_INSIDE) != 0u;
  if (inside) {
    x = weight * out.l;
    p = exp(-x);
    let q = one_minus_exp(x);
    log_q = log(max(q, F(1e-38)));
    ratio = select(x / max(q, F(1e-38)), F(1.0), q < F(1e-30));
  }
  if ((spec.focal_flags & FOCAL_ON) != 0u) {
    let modulator = power_of_log(log_q, spec.focal_gamma);
    out.loss = select(modulator * x, F(0.0), x == F(0.0));
    out.slope = modulator;
    if ((spec.focal_flags & FOCAL_DETACHED) == 0u) {
      out.slope = modulator * (1.0 + spec.focal_gamma * select(p * ratio, F(0.0), p == F(0.0)));
    }
    if (inside) {
      out.slope = weight * out.slope;
    } else {
      out.loss = weight * out.loss;
      out.slope = weight * out.slope;
    }
  } else {
    out.loss = weight * out.l;
    out.slope = weight;
  }
  if ((spec.influence_flags & INFLUENCE_ON) != 0u) {
    let denominator = 2.0 * out.q * feature + spec.influence_eps;
    let influence = spec.influence_alpha / denominator;
    var slope = out.slope * influence;
    if ((spec.influence_flags & INFLUENCE_DETACHED) == 0u) {
      let change = influence / denominator * 2.0 * feature * out.p;
      slope -= select(out.loss * change, F(0.0), change == F(0.0));
    }
    out.loss = out.loss * influence;
    out.slope = slope;
  }
  // A weight of 0 switches even an infinite loss off.
  out.loss = select(out.loss, F(0.0), weight == F(0.0));
  return out;
}

// log(exp(a) + exp(b)), NEG_MAX standing for -inf.
fn log_add(a: F, b: F) -> F {
  return max(a, b) + select(log1p_unit(exp(-abs(a - b))), F(0.0), min(a, b) <= F(NEG_MAX));
}

// One label's part of the row: its loss, and the three coefficients it gives.
struct LabelPart {
  loss: F,
  log_sum_exp: F,
  probability: F,
  total: F,      // G: dL/du_j = G q_j for every class, apart from ...
  own: F,        // ... the label's own column,
  dense: F,      // ... and minus dense * tau_j.
}

fn label_part(field: u32, rows: U, others: F, u: F, mass: Mass, other_weight: F, other_cross: F) -> LabelPart {
  var out: LabelPart;
  let share = load_row(field + FIELD_SHARE, rows);
  let weight = load_row(field + FIELD_WEIGHT, rows);
  let smoothing = load_row(field + FIELD_SMOOTHING, rows);
  let label = label_loss(others, u, weight, load_row(FIELD_FEATURE, rows));
  let hard = share * (1.0 - smoothing);
  out.log_sum_exp = label.log_sum_exp;
  out.probability = label.p;
  out.loss = select(hard * label.loss, F(0.0), hard == F(0.0));
  out.total = hard * label.slope;
  out.own = -hard * label.slope * label.q;
  var rest = 2.0 * spec.z_loss * share * label.log_sum_exp;
  out.loss += weighted(share * spec.z_loss, label.log_sum_exp * label.log_sum_exp);
  if (HAS_DENSE) {
    // The uniform part of label smoothing: (smoothing / K) sum_j w_j (lse - u_j), this label's own column apart.
    out.dense = share * smoothing / f32(window.total_classes);
    let cross = mass.cross + weighted(mass.weight, label.log_sum_exp - mass.max)
      + other_cross + weighted(weight, label.l);
    out.loss += select(out.dense * cross, F(0.0), out.dense == F(0.0));
    rest += out.dense * (mass.weight + other_weight + weight);
    out.own -= out.dense * weight;
  }
  out.total += rest;
  out.own += rest * label.p;
  return out;
}

fn hard_row(row: Row, mass: Mass, v: F) -> RowLoss {
  var out: RowLoss;
  let others = log_mass(mass.max, mass.sum);
  let u = max(v - load_row(FIELD_MARGIN, row.rows), F(NEG_MAX));
  let part = label_part(0u, row.rows, others, select(u, F(NEG_MAX), v <= F(NEG_MAX)), mass, F(0.0), F(0.0));
  let kept = row.first_label >= I(0);
  out.loss = select(F(0.0), part.loss, kept);
  out.log_sum_exp = select(F(0.0), part.log_sum_exp, kept);
  out.probability = select(F(0.0), part.probability, kept);
  out.reference = part.log_sum_exp;
  out.coefficient = select(F(0.0), part.total, kept);
  out.first = select(F(0.0), part.own, kept);
  out.dense = select(F(0.0), part.dense, kept);
  out.bad = (row.first_label == I(LABEL_BAD)) | (kept & (others <= F(NEG_MAX)) & (v <= F(NEG_MAX)));
  return out;
}

fn soft_row(row: Row, mass: Mass) -> RowLoss {
  var out: RowLoss;
  let share = load_row(FIELD_SHARE, row.rows);
  let log_sum = log(max(mass.sum, F(1e-38)));
  let lse = mass.max + log_sum;
  let loss = mass.cross + weighted(mass.weight, log_sum) + weighted(F(spec.z_loss), lse * lse);
  out.loss = select(share * loss, F(0.0), share == F(0.0));
  out.log_sum_exp = lse;
  out.probability = F(bitcast<f32>(window.nan));
  out.reference = lse;
  out.coefficient = share * (mass.weight + 2.0 * spec.z_loss * lse);
  out.dense = share;
  out.bad = mass.max <= F(NEG_MAX);
  return out;
}

// Two labels: each has its own softmax, in which only its own column carries a margin and only the other label's
// column can be gated.
fn mixed_row(row: Row, mass: Mass, labels: LabelLogits) -> RowLoss {
  var out: RowLoss;
  let field = FIELDS_PER_LABEL;
  let rest = log_mass(mass.max, mass.sum);
  let same = row.first_label == row.second_label;
  let has_first = row.first_label >= I(0);
  let has_second = row.second_label >= I(0);
  let v_first = labels.first;
  let v_second = labels.second;
  let seen_first = select(labels.seen_first, F(NEG_MAX), same);
  let seen_second = select(labels.seen_second, F(NEG_MAX), same);
  let weight_first = load_row(FIELD_WEIGHT, row.rows);
  let weight_second = load_row(field + FIELD_WEIGHT, row.rows);
  let u_first = select(max(v_first - load_row(FIELD_MARGIN, row.rows), F(NEG_MAX)), F(NEG_MAX), v_first <= F(NEG_MAX));
  let u_second =
    select(max(v_second - load_row(field + FIELD_MARGIN, row.rows), F(NEG_MAX)), F(NEG_MAX), v_second <= F(NEG_MAX));
  let others_first = log_add(rest, seen_second);
  let others_second = log_add(rest, seen_first);
  // The other label's column belongs to the dense part as well; its lse - u is finite or the loss infinite.
  let lse_first = log_add(others_first, u_first);
  let lse_second = log_add(others_second, u_second);
  let infinity = F(bitcast<f32>(window.infinity));
  let wide_first = select(lse_first - v_second, infinity, v_second <= F(NEG_MAX));
  let wide_second = select(lse_second - v_first, infinity, v_first <= F(NEG_MAX));
  let apart_first = has_second & !same;
  let apart_second = has_first & !same;
  let a = label_part(0u, row.rows, others_first, u_first, mass,
    select(F(0.0), weight_second, apart_first), select(F(0.0), weighted(weight_second, wide_first), apart_first));
  let b = label_part(field, row.rows, others_second, u_second, mass,
    select(F(0.0), weight_first, apart_second), select(F(0.0), weighted(weight_first, wide_second), apart_second));
  out.loss = select(F(0.0), a.loss, has_first) + select(F(0.0), b.loss, has_second);
  let total_first = select(F(0.0), a.total, has_first);
  let total_second = select(F(0.0), b.total, has_second);
  out.reference = rest;
  out.coefficient = total_first * exp(min(rest - a.log_sum_exp, F(0.0)))
    + total_second * exp(min(rest - b.log_sum_exp, F(0.0)));
  let dense_first = select(F(0.0), a.dense, has_first);
  let dense_second = select(F(0.0), b.dense, has_second);
  out.dense = dense_first + dense_second;
  // Each label's column: its own part, and what the other label's softmax gives it.
  let own_first = select(F(0.0), a.own, has_first);
  let own_second = select(F(0.0), b.own, has_second);
  let cross_first = total_second * select(exp(min(seen_first - b.log_sum_exp, F(0.0))), F(0.0), seen_first <= F(NEG_MAX))
    - dense_second * weight_first;
  let cross_second = total_first * select(exp(min(seen_second - a.log_sum_exp, F(0.0))), F(0.0), seen_second <= F(NEG_MAX))
    - dense_first * weight_second;
  out.first = own_first + select(cross_first, own_second, same);
  out.second = select(own_second + cross_second, out.first, same);
  out.log_sum_exp = select(select(F(0.0), b.log_sum_exp, has_second), a.log_sum_exp, has_first);
  out.probability = select(select(F(0.0), b.probability, has_second), a.probability, has_first);
  out.bad = (row.first_label == I(LABEL_BAD)) | (row.second_label == I(LABEL_BAD))
    | (has_first & (others_first <= F(NEG_MAX)) & (u_first <= F(NEG_MAX)))
    | (has_second & (others_second <= F(NEG_MAX)) & (u_second <= F(NEG_MAX)));
  return out;
}

// From the mass of the classes that are no label, as loops have gathered it, and the labels' v.
fn row_loss(row: Row, gathered: Mass, labels: LabelLogits) -> RowLoss {
  var mass = gathered;
  mass.max = in_logs(gathered.max);
  var out = row_loss_in_logs(row, mass, labels);
  out.reference = in_units(out.reference);
  return out;
}

fn row_loss_in_logs(row: Row, mass: Mass, labels: LabelLogits) -> RowLoss {
  if (SOFT_TARGETS) {
    return soft_row(row, mass);
  }
  if (MIXED_TARGETS) {
    return mixed_row(row, mass, labels);
  }
  return hard_row(row, mass, labels.first);
}
