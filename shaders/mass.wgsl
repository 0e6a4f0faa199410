// Row statistics as a mergeable monoid: the mass of a set of classes, relative to a running maximum. u is in units of the
// spec's scale (terms.wgsl).
//
//   max      the largest entry.u
//   sum      sum of factor exp(scale (u - max))
//   raw      sum of exp(scale (u - max)) over all classes, the labels too     (only with TWO_STEP)
//   weight   sum of dense targets tau_j                                       (only with HAS_DENSE)
//   cross    sum of tau_j (scale (max - u_j) - log factor_j), so that
//            sum of tau_j (lse - scale u_j - log factor_j) = cross + weight log(sum) without cancellation

struct Mass {
  max: F,
  sum: F,
  raw: F,
  weight: F,
  cross: F,
}

// A class of a row: exp(scale u) times a factor is its mass.
struct Entry {
  u: F,
  factor: F,
  tau: F,
}

fn no_mass() -> Mass {
  return Mass(F(NEG_MAX), F(0.0), F(0.0), F(0.0), F(0.0));
}

// 0 * (a difference that overflowed) is 0 here.
fn weighted(weight: F, distance: F) -> F {
  return select(weight * distance, F(0.0), weight == F(0.0));
}

fn merge(a: Mass, b: Mass) -> Mass {
  var left = a;
  var right = b;
  let top = max(a.max, b.max);
  raise(&left, top);
  raise(&right, top);
  return Mass(top, left.sum + right.sum, left.raw + right.raw, left.weight + right.weight, left.cross + right.cross);
}

fn raise(mass: ptr<function, Mass>, top: F) {
  let shrink = exp_scaled((*mass).max - top);
  (*mass).sum *= shrink;
  if (TWO_STEP) {
    (*mass).raw *= shrink;
  }
  if (HAS_DENSE) {
    (*mass).cross += weighted((*mass).weight, spec.scale * (top - (*mass).max));
  }
  (*mass).max = top;
}

// Adds a class below the maximum, and returns its mass.
fn include(mass: ptr<function, Mass>, entry: Entry, top: F) -> F {
  let below = entry.u - top;
  var e = exp_scaled(below);
  if (TWO_STEP) {
    (*mass).raw += e;
  }
  if (HAS_FACTOR) {
    e *= entry.factor;
  }
  (*mass).sum += e;
  if (HAS_DENSE) {
    var distance = -spec.scale * below;
    if (HAS_FACTOR) {
      distance -= log(max(entry.factor, F(1e-38)));
    }
    // A masked class under a positive target makes the loss infinite: as -inf it does so by itself.
    if (MASKS_BY_NUMBER) {
      distance = select(distance, F(bitcast<f32>(window.infinity)), entry.u <= F(NEG_MAX));
    }
    (*mass).cross += weighted(entry.tau, distance);
    (*mass).weight += entry.tau;
  }
  return e;
}

fn add_class(mass: ptr<function, Mass>, entry: Entry) {
  let top = max((*mass).max, entry.u);
  raise(mass, top);
  let added = include(mass, entry, top);
}

// Four classes under one new maximum: one rescaling instead of four.
fn add_classes(mass: ptr<function, Mass>, a: Entry, b: Entry, c: Entry, d: Entry) {
  let top = max(max(max((*mass).max, a.u), max(b.u, c.u)), d.u);
  raise(mass, top);
  let ea = include(mass, a, top);
  let eb = include(mass, b, top);
  let ec = include(mass, c, top);
  let ed = include(mass, d, top);
}

// Everything was masked: the exponential of NEG_MAX - NEG_MAX counted ones that are none.
fn settled(mass: Mass) -> Mass {
  var out = mass;
  out.sum = select(mass.sum, F(0.0), mass.max <= F(NEG_MAX));
  out.raw = select(mass.raw, F(0.0), mass.max <= F(NEG_MAX));
  return out;
}

// max + log(sum), of a maximum in logs; NEG_MAX where there is no mass.
fn log_mass(top: F, sum: F) -> F {
  return select(top + log(max(sum, F(1e-38))), F(NEG_MAX), sum <= F(0.0));
}
