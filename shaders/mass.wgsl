// Row statistics as a mergeable monoid: the mass of a set of classes, relative to its maximum.
//
//   max      the largest u
//   sum      sum of exp(u - max)
//   weight   sum of dense targets tau_j                       (only with HAS_DENSE)
//   cross    sum of tau_j (max - u_j), so that
//            sum of tau_j (lse - u_j) = cross + weight log(sum) without cancellation

struct Mass {
  max: F,
  sum: F,
  weight: F,
  cross: F,
}

fn no_mass() -> Mass {
  return Mass(F(NEG_MAX), F(0.0), F(0.0), F(0.0));
}

// 0 * (a difference that overflowed) is 0 here.
fn weighted(weight: F, distance: F) -> F {
  return select(weight * distance, F(0.0), weight == F(0.0));
}

fn merge(a: Mass, b: Mass) -> Mass {
  var out: Mass;
  out.max = max(a.max, b.max);
  out.sum = a.sum * exp(a.max - out.max) + b.sum * exp(b.max - out.max);
  if (HAS_DENSE) {
    out.weight = a.weight + b.weight;
    out.cross = a.cross + weighted(a.weight, out.max - a.max) + b.cross + weighted(b.weight, out.max - b.max);
  }
  return out;
}

fn add_class(mass: ptr<function, Mass>, u: F, tau: F) {
  let old = (*mass).max;
  let top = max(old, u);
  (*mass).sum = (*mass).sum * exp(old - top) + exp(u - top);
  (*mass).max = top;
  if (HAS_DENSE) {
    // A masked class under a positive target makes the loss infinite.
    let distance = select(top - u, F(bitcast<f32>(params.infinity)), u <= F(NEG_MAX));
    (*mass).cross += weighted((*mass).weight, top - old) + weighted(tau, distance);
    (*mass).weight += tau;
  }
}

// Everything was masked: exp(NEG_MAX - NEG_MAX) counted ones that are none.
fn settled(mass: Mass) -> Mass {
  var out = mass;
  out.sum = select(mass.sum, F(0.0), mass.max <= F(NEG_MAX));
  return out;
}

// logsumexp; NEG_MAX where there is no mass.
fn log_mass(mass: Mass) -> F {
  return select(mass.max + log(max(mass.sum, F(1e-38))), F(NEG_MAX), mass.sum <= F(0.0));
}
