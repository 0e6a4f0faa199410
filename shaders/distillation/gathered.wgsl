// What a thread gathers of a row: what it notices of student and teacher, the base's mass, and a match.

struct Gathered {
  student: Scan,
  teacher: Scan,
  base: Base,
  mass: Match,
}

fn nothing_gathered() -> Gathered {
  return Gathered(new_scan(), new_scan(), no_base(), no_match());
}

fn scan_student(scan: ptr<function, Scan>, z: F, j: u32) {
  scan_bits(scan, z);
  if (WANT_ARGMAX) {
    var better = z > (*scan).best;
    if (EXPERTS) {
      // Their classes come in any order: the lowest one counts on ties.
      better = better | ((z == (*scan).best) & (U(j) < (*scan).index));
    }
    (*scan).best = select((*scan).best, z, better);
    (*scan).index = select((*scan).index, U(j), better);
  }
}

// A number that is masked outside of the row.
fn held(x: F, inside: bool) -> F {
  return select(F(-bitcast<f32>(window.infinity)), x, B(inside));
}

fn held_inside(x: Quad, inside: vec4<bool>) -> Quad {
  return Quad(held(x.a, inside.x), held(x.b, inside.y), held(x.c, inside.z), held(x.d, inside.w));
}

// Four classes; those that are not inside count nothing.
fn take_four(to: ptr<function, Gathered>, row: Row, j: vec4<u32>, z: Quad, t: Quad, inside: vec4<bool>) {
  let own = held_inside(z, inside);
  let taught = held_inside(t, inside);
  var student = (*to).student;
  scan_student(&student, own.a, j.x);
  scan_student(&student, own.b, j.y);
  scan_student(&student, own.c, j.z);
  scan_student(&student, own.d, j.w);
  (*to).student = student;
  var teacher = (*to).teacher;
  scan_bits(&teacher, taught.a);
  scan_bits(&teacher, taught.b);
  scan_bits(&teacher, taught.c);
  scan_bits(&teacher, taught.d);
  (*to).teacher = teacher;
  var mass = (*to).mass;
  add_four(&mass, own, taught);
  (*to).mass = mass;
  var base = (*to).base;
  base_four(&base, row, j, z, inside);
  (*to).base = base;
}

// Sums of sums: a stretch of steps is added up by itself, so that long rows lose fewer digits.
const STRETCH: u32 = 64u;

fn end_stretch(to: ptr<function, Gathered>, stretch: ptr<function, Gathered>) {
  (*to).mass = merged_match((*to).mass, (*stretch).mass);
  (*to).base = merged_base((*to).base, (*stretch).base);
  (*stretch).mass = no_match();
  (*stretch).base = no_base();
}

// Everything but the match, as threads put it together. Bits of `bad` say whose logits are no numbers.
struct Rest {
  bad: U,
  best: F,
  index: U,
  base: Base,
}

const BAD_STUDENT: u32 = 1u;
const BAD_TEACHER: u32 = 2u;

fn rest_of(gathered: Gathered) -> Rest {
  let student = select(U(0u), U(BAD_STUDENT), has_bad_logit(gathered.student));
  let teacher = select(U(0u), U(BAD_TEACHER), has_bad_logit(gathered.teacher));
  return Rest(student | teacher, gathered.student.best, gathered.student.index, gathered.base);
}

fn merged_rest(a: Rest, b: Rest) -> Rest {
  // The class of the largest logit, the lowest such class on ties.
  let later = select(a.index, b.index, b.best > a.best);
  let index = select(later, min(a.index, b.index), a.best == b.best);
  return Rest(a.bad | b.bad, max(a.best, b.best), index, merged_base(a.base, b.base));
}
