// The positive side of multi-hot targets under the softmax link. With lse = log sum_k exp(u_k), of all classes of a thread
//
//   sum W t (lse - u) = sum W t (top - u) + (lse - top) sum W t,   sum d p = -sum W t
//
// where `top` is the thread's largest u so far: two sums, the first of which moves with `top`.
//
// Errors: no term is negative (u <= top <= lse), so nothing cancels. A term passes the rest of its stretch, at most 64 steps,
// and the stretches after it; each rounds the sum twice. So both sums are off by 2^-24 times twice as many at most,
// relatively, by the root of that as a rule, and by three more units for lse - top. What a certain positive costs, alone in
// its thread, is W t log(1 + others / p), exact however little is left for the others. By the clamps all this holds for
// p (1 - p) of 1e-12 and more: a thread that has an unlikelier positive, or the row's top class with less than that beside
// it, walks its classes again. So does one with a masked positive, whose u is the smallest of all.

const SMALLEST_VARIANCE: f32 = 1e-12;

// A positive farther below another class is one to walk again for. What is masked would overflow.
const FAR: f32 = 200.0;

// Sums of W t, and of W t (top - u).
struct Linear {
  weight: F,
  distance: F,
}

struct Positives {
  // Of this stretch, and of those before it, in distances from `began`, the largest u as this one began.
  linear: Linear,
  before: Linear,
  began: F,
  // The smallest u of a positive.
  least: F,
}

fn no_positives() -> Positives {
  return Positives(Linear(F(0.0), F(0.0)), Linear(F(0.0), F(0.0)), F(NEG_MAX), F(POS_MAX));
}

fn class_of(mine: ptr<function, Collected>, row: Row, j: u32, u: F, inside: bool) -> Class {
  let t = select(F(0.0), target_of(row, j), B(inside));
  if (WEIGHTS_DIFFER) {
    let w = weight_of(row, load_column(j), j, t, u);
    return Class(u, w * (1.0 - t), w * t);
  }
  return Class(u, 1.0 - t, t);
}

fn below(top: F, u: F) -> F {
  return min(top - u, F(FAR));
}

// The same sums from a larger u.
fn moved(sums: Linear, by: F) -> Linear {
  return Linear(sums.weight, sums.distance + sums.weight * by);
}

fn positive_u(one: Class) -> F {
  return select(one.u, F(POS_MAX), one.positive == F(0.0));
}

fn collect_positives(mine: ptr<function, Collected>, top: F, a: Class, b: Class, c: Class, d: Class) {
  let before = moved((*mine).positives.linear, below(top, (*mine).top.u));
  let ab = a.positive * below(top, a.u) + b.positive * below(top, b.u);
  let cd = c.positive * below(top, c.u) + d.positive * below(top, d.u);
  (*mine).positives.linear = Linear(
    before.weight + ((a.positive + b.positive) + (c.positive + d.positive)),
    before.distance + (ab + cd),
  );
  let least = min(min(positive_u(a), positive_u(b)), min(positive_u(c), positive_u(d)));
  (*mine).positives.least = min((*mine).positives.least, least);
}

fn end_positives(mine: ptr<function, Collected>) {
  let top = (*mine).top.u;
  let before = moved((*mine).positives.before, below(top, (*mine).positives.began));
  let linear = (*mine).positives.linear;
  (*mine).positives.before = Linear(before.weight + linear.weight, before.distance + linear.distance);
  (*mine).positives.linear = Linear(F(0.0), F(0.0));
  (*mine).positives.began = top;
}

// They are among the classes of the sums.
fn with_positives(mass: Mass, mine: Collected) -> Mass {
  return mass;
}

fn positives_part(mine: Collected, row: Row, thread: u32, share: Share) -> Part {
  let sums = mine.positives.before;
  var w = F(1.0);
  if (!WEIGHTS_DIFFER) {
    w = weight_of(row, load_column(0u), 0u, F(1.0), F(0.0));
  }
  let beyond = below(share.max, mine.top.u) + share.log_sum;
  let least = exp(min(mine.positives.least - share.max, F(0.0))) * share.inverse_sum;
  let certain = (mine.top.u >= share.max) & (share.rest < F(SMALLEST_VARIANCE));
  let again = (sums.weight != F(0.0)) & (certain | (least < F(SMALLEST_VARIANCE)));
  return Part(w * (sums.distance + beyond * sums.weight), -w * sums.weight, again);
}
