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
  let masked = v <= F(NEG_MAX);
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
  let s = select(rest, larger, u > F(0.0));
  let q = select(larger, rest, u > F(0.0));
  let tail = log1p_series(small * (1.0 + small) * both);
  // softplus(-u) and softplus(u): what a positive and what a negative costs.
  let infinity = F(bitcast<f32>(window.infinity));
  var positive_cost = select(max(-u, F(0.0)) + tail, infinity, masked);
  if (HAS_POSITIVE_WEIGHT) {
    positive_cost = select(positive_cost * column.positive_weight, F(0.0), F(column.positive_weight) == F(0.0));
  }
  let negative_cost = max(u, F(0.0)) + tail;
  var cost: F;
  var slope: F;
  var base: F;
  if (MULTI_HOT) {
    cost = select(t * positive_cost, F(0.0), t == F(0.0)) + (1.0 - t) * negative_cost;
    slope = (1.0 - t) * s - column.positive_weight * t * q;
    base = t * q + (1.0 - t) * s;
  } else {
    let label = t > F(0.0);
    cost = select(negative_cost, positive_cost, label);
    slope = select(s, -column.positive_weight * q, label);
    base = select(s, q, label);
  }
  if (HAS_FOCAL) {
    var modulator = base * base;
    if (!FOCAL_SQUARE) {
      // Of a label, what is raised has its logarithm among the costs.
      modulator = power_of(base, select(-max(-u, F(0.0)) - tail, -negative_cost, t > F(0.0)), spec.focal_gamma);
    }
    var bent = modulator * slope;
    if (spec.focal_detached == 0u) {
      // gamma f / (t / s + (1 - t) / (1 - s)) without the divisions by what may be 0.
      var change = 2.0 * base * (s * q);
      if (!FOCAL_SQUARE) {
        var ratio = select(q, s, t > F(0.0));
        if (MULTI_HOT) {
          ratio = select(select(s * q / max(base, F(1e-38)), s, t == F(1.0)), q, t == F(0.0));
        }
        change = spec.focal_gamma * modulator * ratio;
      }
      change *= 1.0 - 2.0 * t;
      bent += select(change * cost, F(0.0), change == F(0.0));
    }
    slope = bent;
    cost = select(modulator * cost, F(0.0), modulator == F(0.0));
  }
  let w = weight_of(row, column, j, t, v);
  // A weight of 0 switches even an infinite loss off. A slope is infinite only as a part of that.
  let off = w == F(0.0);
  let weighed = w * slope * side * spec.scale;
  return Element(select(w * cost, F(0.0), off), select(weighed, F(0.0), off & B(HAS_FOCAL)), t);
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
