// One element of the sigmoid family: its weighted loss and the derivative in its logit.
//
//   u = a (v - m [t > 0]),   e = pw t softplus(-u) + (1 - t) softplus(u),   f = (t (1 - s) + (1 - t) s)^gamma
//   loss = W f e,   d/dz = W scale a (f de/du + df/du e)

struct Element {
  loss: F,
  slope: F,
  t: F,
}

fn element(row: Row, column: Column, j: u32, z: F) -> Element {
  let t = target_of(row, j);
  let v = adjusted(row, column, z);
  var u = v;
  if (HAS_MARGIN) {
    let margin = select(F(column.margin), row.margin, B(MARGIN_SUMMED));
    u = select(v, v - margin, t > F(0.0));
  }
  var side = F(1.0);
  if (HAS_NEGATIVE_SCALE) {
    side = sided(t, 1.0, spec.negative_scale);
    u = u * side;
  }
  u = clamp(u, F(NEG_MAX), F(POS_MAX));
  let small = exp(-abs(u));
  // One division for both of 1 / (1 + small) and small / (2 + small).
  let both = 1.0 / ((1.0 + small) * (2.0 + small));
  let larger = (2.0 + small) * both;
  let rest = small * larger;
  let up = u > F(0.0);
  let s = select(rest, larger, up);
  let q = select(larger, rest, up);
  let tail = log1p_series(small * (1.0 + small) * both);
  // What is masked costs the largest finite number here, and is told at the end: nothing meets 0 * inf on the way.
  var cost: F;
  var slope: F;
  var base: F;
  if (MULTI_HOT) {
    let negative = 1.0 - t;
    slope = negative * s - column.positive_weight * t * q;
    base = t * q + negative * s;
    if (HAS_POSITIVE_WEIGHT) {
      let positive_cost = min(column.positive_weight * (max(-u, F(0.0)) + tail), F(POS_MAX));
      cost = t * positive_cost + negative * (max(u, F(0.0)) + tail);
    } else {
      // t max(-u, 0) + (1 - t) max(u, 0)
      cost = select(-t, negative, up) * u + tail;
    }
  } else {
    let label = t > F(0.0);
    cost = max(select(u, -u, label), F(0.0)) + tail;
    slope = select(s, -q, label);
    if (HAS_POSITIVE_WEIGHT) {
      let weight = select(F(1.0), F(column.positive_weight), label);
      cost = min(weight * cost, F(POS_MAX));
      slope = weight * slope;
    }
    base = select(s, q, label);
  }
  if (HAS_FOCAL) {
    var modulator = base * base;
    if (!FOCAL_SQUARE) {
      // Of a label, what is raised has its logarithm among the costs.
      let logarithm = select(-max(-u, F(0.0)) - tail, -max(u, F(0.0)) - tail, t > F(0.0));
      modulator = power_of(base, logarithm, spec.focal_gamma);
    }
    // gamma f / (t / s + (1 - t) / (1 - s)) without the divisions by what may be 0.
    var change = base * (s * q);
    if (!FOCAL_SQUARE) {
      var ratio = select(q, s, t > F(0.0));
      if (MULTI_HOT) {
        ratio = select(select(s * q / max(base, F(1e-38)), s, t == F(1.0)), q, t == F(0.0));
      }
      change = modulator * ratio;
    }
    slope = modulator * slope + spec.focal_change * change * (1.0 - 2.0 * t) * cost;
    cost = modulator * cost;
  }
  let w = weight_of(row, column, j, t, v);
  // A weight of 0 switches even an infinite loss off.
  var infinite = (v <= F(NEG_MAX)) & (t > F(0.0)) & (w != F(0.0));
  if (HAS_POSITIVE_WEIGHT) {
    infinite = infinite & B(column.positive_weight != 0.0);
  }
  let loss = select(w * cost, F(bitcast<f32>(window.infinity)), infinite);
  return Element(loss, w * slope * side * spec.scale, t);
}

// x^gamma, 0^0 = 1. The logarithm of x is looked at only where targets are whole.
fn power_of(x: F, log_x: F, gamma: f32) -> F {
  if (gamma == 0.0) {
    return F(1.0);
  }
  if (!MULTI_HOT) {
    return exp(max(gamma * log_x, F(-200.0)));
  }
  return select(exp(gamma * log(max(x, F(1e-38)))), F(0.0), x <= F(1e-38));
}

// A logit that is NaN or +inf has no gradient.
fn gradient_of(one: Element, z: F, factor: F) -> F {
  let bad = (bits_of(z) > U(0xff800000u)) | (signed_bits_of(z) >= I(0x7f800000));
  return select(factor * one.slope, F(bitcast<f32>(window.nan)), bad);
}
