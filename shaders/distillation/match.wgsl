// A softmax of the student's logits and one of the teacher's over the same classes, gathered along a row.

// Their masses, and sum_j e^{b_j} (b_j - a_j) in units of the teacher's.
struct Match {
  max_s: F,
  sum_s: F,
  max_t: F,
  sum_t: F,
  cross: F,
  // 1 where the teacher wants a class that the student has masked.
  lost: U,
}

fn no_match() -> Match {
  return Match(F(NEG_MAX), F(0.0), F(NEG_MAX), F(0.0), F(0.0), U(0u));
}

// What a class of weight e^b adds to the divergence; nothing where one of the two has masked it.
fn apart(a: F, b: F, weight: F) -> F {
  let masked = (a <= F(NEG_MAX)) | (b <= F(NEG_MAX));
  return select(weight * clamp(b - a, F(NEG_MAX), F(POS_MAX)), F(0.0), masked);
}

fn is_lost(a: F, b: F) -> B {
  return (a <= F(NEG_MAX)) & (b > F(NEG_MAX));
}

// Four classes under one new maximum of each softmax. A thread that has seen nothing but masks counts ones that are none;
// the first class with a mass shrinks them to 0.
fn add_four(mass: ptr<function, Match>, a: Quad, b: Quad) {
  let top_s = max(max(max((*mass).max_s, a.a), max(a.b, a.c)), a.d);
  let shrink_s = exp((*mass).max_s - top_s);
  (*mass).sum_s *= shrink_s;
  (*mass).sum_s += (exp(a.a - top_s) + exp(a.b - top_s)) + (exp(a.c - top_s) + exp(a.d - top_s));
  (*mass).max_s = top_s;
  let top_t = max(max(max((*mass).max_t, b.a), max(b.b, b.c)), b.d);
  let shrink_t = exp((*mass).max_t - top_t);
  let wa = exp(b.a - top_t);
  let wb = exp(b.b - top_t);
  let wc = exp(b.c - top_t);
  let wd = exp(b.d - top_t);
  (*mass).sum_t = (*mass).sum_t * shrink_t + ((wa + wb) + (wc + wd));
  (*mass).max_t = top_t;
  let cross = (apart(a.a, b.a, wa) + apart(a.b, b.b, wb)) + (apart(a.c, b.c, wc) + apart(a.d, b.d, wd));
  (*mass).cross = (*mass).cross * shrink_t + cross;
  let lost = is_lost(a.a, b.a) | is_lost(a.b, b.b) | is_lost(a.c, b.c) | is_lost(a.d, b.d);
  (*mass).lost = select((*mass).lost, U(1u), lost);
}

fn merged_match(x: Match, y: Match) -> Match {
  var out: Match;
  out.max_s = max(x.max_s, y.max_s);
  out.sum_s = x.sum_s * exp(x.max_s - out.max_s) + y.sum_s * exp(y.max_s - out.max_s);
  out.max_t = max(x.max_t, y.max_t);
  let of_x = exp(x.max_t - out.max_t);
  let of_y = exp(y.max_t - out.max_t);
  out.sum_t = x.sum_t * of_x + y.sum_t * of_y;
  out.cross = x.cross * of_x + y.cross * of_y;
  out.lost = max(x.lost, y.lost);
  return out;
}

// sum_j q_j (log q_j - log s_j), which is at least 0.
fn divergence(mass: Match) -> F {
  let student = mass.max_s + log(mass.sum_s);
  let teacher = mass.max_t + log(mass.sum_t);
  let all = mass.cross / mass.sum_t + (student - teacher);
  return select(max(all, F(0.0)), F(bitcast<f32>(window.infinity)), mass.lost != U(0u));
}
