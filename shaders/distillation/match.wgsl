// A softmax of the student's logits and one of the teacher's over the same classes, gathered along a row.

// Their masses, relative to the largest logit of each, and sum_j q_j (scale_t t_j - scale_s z_j) in units of the teacher's.
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

fn is_masked(x: F) -> B {
  return x < F(NEG_MAX);
}

// What a class of a weight adds to the divergence; nothing where one of the two has masked it.
fn apart(z: F, t: F, weight: F) -> F {
  let distance = clamp(numbers.teacher_scale * t - numbers.student_scale * z, F(NEG_MAX), F(POS_MAX));
  return select(weight * distance, F(0.0), is_masked(z) | is_masked(t));
}

fn is_lost(z: F, t: F) -> B {
  return is_masked(z) & !is_masked(t);
}

// Four classes under one new maximum of each softmax.
fn add_four(mass: ptr<function, Match>, z: Quad, t: Quad) {
  let top_s = max(max(max((*mass).max_s, z.a), max(z.b, z.c)), z.d);
  let shrink_s = exp_student((*mass).max_s - top_s);
  let student = (exp_student(z.a - top_s) + exp_student(z.b - top_s))
    + (exp_student(z.c - top_s) + exp_student(z.d - top_s));
  (*mass).sum_s = (*mass).sum_s * shrink_s + student;
  (*mass).max_s = top_s;
  let top_t = max(max(max((*mass).max_t, t.a), max(t.b, t.c)), t.d);
  let shrink_t = exp_teacher((*mass).max_t - top_t);
  let wa = exp_teacher(t.a - top_t);
  let wb = exp_teacher(t.b - top_t);
  let wc = exp_teacher(t.c - top_t);
  let wd = exp_teacher(t.d - top_t);
  (*mass).sum_t = (*mass).sum_t * shrink_t + ((wa + wb) + (wc + wd));
  (*mass).max_t = top_t;
  let cross = (apart(z.a, t.a, wa) + apart(z.b, t.b, wb)) + (apart(z.c, t.c, wc) + apart(z.d, t.d, wd));
  (*mass).cross = (*mass).cross * shrink_t + cross;
  let lost = is_lost(z.a, t.a) | is_lost(z.b, t.b) | is_lost(z.c, t.c) | is_lost(z.d, t.d);
  (*mass).lost = select((*mass).lost, U(1u), lost);
}

fn merged_match(x: Match, y: Match) -> Match {
  var out: Match;
  out.max_s = max(x.max_s, y.max_s);
  out.sum_s = x.sum_s * exp_student(x.max_s - out.max_s) + y.sum_s * exp_student(y.max_s - out.max_s);
  out.max_t = max(x.max_t, y.max_t);
  let of_x = exp_teacher(x.max_t - out.max_t);
  let of_y = exp_teacher(y.max_t - out.max_t);
  out.sum_t = x.sum_t * of_x + y.sum_t * of_y;
  out.cross = x.cross * of_x + y.cross * of_y;
  out.lost = max(x.lost, y.lost);
  return out;
}

fn log_total(largest: F, scale: f32, sum: F) -> F {
  return clamp(scale * largest, F(-3.0e38), F(3.0e38)) + log(sum);
}

// sum_j q_j (log q_j - log s_j), which is at least 0.
fn divergence(mass: Match) -> F {
  let student = log_total(mass.max_s, numbers.student_scale, mass.sum_s);
  let teacher = log_total(mass.max_t, numbers.teacher_scale, mass.sum_t);
  let all = mass.cross / mass.sum_t + (student - teacher);
  return select(max(all, F(0.0)), F(bitcast<f32>(window.infinity)), mass.lost != U(0u));
}
