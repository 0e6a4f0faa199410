// The mass of a set of columns relative to its maximum, merged over a workgroup in a fixed order.

struct Mass {
  max: f32,
  sum: f32,
}

var<workgroup> tree_max: array<f32, WG>;
var<workgroup> tree_sum: array<f32, WG>;

// One exponential, of what lies below the new maximum: the column or the sum so far.
fn add_to(mass: ptr<function, Mass>, u: f32) {
  let above = u > (*mass).max;
  let below = exp(-abs(u - (*mass).max));
  (*mass).sum = select((*mass).sum + below, (*mass).sum * below + 1.0, above);
  (*mass).max = max((*mass).max, u);
}

// Four columns, under one new maximum.
fn add_four(mass: ptr<function, Mass>, u: vec4<f32>) {
  let top = max(max(max(u.x, u.y), max(u.z, u.w)), (*mass).max);
  let e = exp(u - vec4<f32>(top));
  (*mass).sum = (*mass).sum * exp((*mass).max - top) + ((e.x + e.y) + (e.z + e.w));
  (*mass).max = top;
}

fn merged(thread: u32, mine: Mass) -> Mass {
  var total = mine;
  workgroupBarrier();
  tree_max[thread] = mine.max;
  tree_sum[thread] = mine.sum;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      let top = max(total.max, tree_max[thread + half]);
      total.sum = total.sum * exp(total.max - top) + tree_sum[thread + half] * exp(tree_max[thread + half] - top);
      total.max = top;
      tree_max[thread] = total.max;
      tree_sum[thread] = total.sum;
    }
    workgroupBarrier();
  }
  return Mass(tree_max[0], tree_sum[0]);
}

// max + log(sum); NEG_MAX where everything was masked, when exp(NEG_MAX - NEG_MAX) counted ones that are none.
fn log_mass(mass: Mass) -> f32 {
  return select(mass.max + log(max(mass.sum, 1e-38)), NEG_MAX, mass.max <= NEG_MAX);
}

// A cross-entropy from the target's number and the log-sum-exp of all others: no cancellation where the target has
// nearly all of the mass.
struct Cross {
  loss: f32,
  reference: f32,  // the log-sum-exp of all
  rest: f32,       // 1 - the target's probability
  empty: bool,     // masks leave nothing
}

fn cross_entropy(target_number: f32, others: f32) -> Cross {
  let masked = target_number <= NEG_MAX;
  let alone = others <= NEG_MAX;
  if (alone) {
    return Cross(select(0.0, bitcast<f32>(window.infinity), masked), target_number, 0.0, masked);
  }
  if (masked) {
    return Cross(bitcast<f32>(window.infinity), others, 1.0, false);
  }
  // Differences of two finite numbers may overflow.
  let d = clamp(others - target_number, NEG_MAX, POS_MAX);
  let small = exp(-abs(d));
  let share = 1.0 / (1.0 + small);
  return Cross(softplus(d), max(others, target_number) + log1p_unit(small), select(small * share, share, d > 0.0), false);
}
