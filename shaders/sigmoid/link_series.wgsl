// What a thread collects of its classes under the softmax link while it walks them for the mass, so that the row's loss and
// sum_k d_k p_k need no walk of their own. The two sides of a class, of weight W and target t, are sums of different kinds:
//
//   -W t log p - W (1 - t) log(1 - p),   d p = -W t + W (1 - t) p / (1 - p)
//
// The positive side is linear in u: link_positives.wgsl, and link_label.wgsl for one label. Of the negative one, of weight
// V = W (1 - t),
//   e = -V log(1 - p) = V (p + p^2 / 2 + p^3 / 3 + ...),   d p = V p / (1 - p) = V (p + p^2 + p^3 + ...).
// With sums of V x^m, m = 1 to 5, of x = exp(u - second), which is p in other units, both are polynomials in those units,
// for classes of p up to LIMIT. `second` is the thread's second largest u: its largest class may be likely, so it is left
// out, and its terms are computed one by one. A thread with another class above LIMIT that has a negative side, which is
// rare, walks its classes again. Positives may be as likely as they like: they are part of the mass alone.
//
// Errors: up to LIMIT the polynomials, the best ones that begin with 1, are off by 1.6 and 0.3 units of 2^-24, relatively,
// and by less for smaller p. By the clamp of p (1 - p), d p of a class below 1e-12 is V p^2 1e12, and the sum of squares
// gives it for a thread that has no others. Beside likelier classes it is V p here: V 2.5e-13 more at most. To be seen that
// has to add up to the last digit of the others' terms: a label's alone is W, unless it is as unlikely, and the row's likely
// classes, whose p add up to 1, have a W in all, be it as positives or as negatives.

const LIMIT: f32 = 0.125;

// 2^-25. Below it a square is less than the last digit of its class's sum; and fifth powers of what is not are normal
// numbers, which processors compute fast.
const SMALLEST_RAISED: f32 = 2.98023223876953125e-8;

// Whether classes have weights of their own in the sums, and whether more than t makes them.
const WEIGHTS_DIFFER: bool = WEIGHTS_BY_COLUMN || (MULTI_HOT && HAS_SIDES);
const WEIGHTED: bool = WEIGHTS_DIFFER || MULTI_HOT;

// A class as the first walk sees it: V, and W t where the row has no label of its own.
struct Class {
  u: F,
  negative: F,
  positive: F,
}

// A class in the sums, of weight V.
struct Entry {
  u: F,
  w: F,
}

// Sums of V x^m, and where weights differ of x.
struct Powers {
  mass: F,
  one: F,
  two: F,
  three: F,
  four: F,
  five: F,
}

struct Collected {
  top: Entry,
  second: F,
  // The largest u but the top's that has a negative side: `second` where all have.
  likely: F,
  // Of this stretch, and of those before it, in units of `second` as this one began.
  powers: Powers,
  before: Powers,
  began: F,
  positives: Positives,
}

fn no_powers() -> Powers {
  return Powers(F(0.0), F(0.0), F(0.0), F(0.0), F(0.0), F(0.0));
}

fn new_collected() -> Collected {
  let none = Entry(F(NEG_MAX), F(0.0));
  return Collected(none, none.u, none.u, no_powers(), no_powers(), none.u, no_positives());
}

fn sum_of(a: Powers, b: Powers) -> Powers {
  var sum = Powers(F(0.0), a.one + b.one, a.two + b.two, a.three + b.three, a.four + b.four, a.five + b.five);
  if (WEIGHTED) {
    sum.mass = a.mass + b.mass;
  }
  return sum;
}

// The same sums where every x is so much smaller.
fn shrunk(sums: Powers, by: F) -> Powers {
  let squared = by * by;
  var out = Powers(
    F(0.0),
    sums.one * by,
    sums.two * squared,
    sums.three * (squared * by),
    sums.four * (squared * squared),
    sums.five * (squared * squared * by),
  );
  if (WEIGHTED) {
    out.mass = sums.mass * by;
  }
  return out;
}

fn powers_of(x: F, w: F) -> Powers {
  let raised = select(x, F(0.0), x < F(SMALLEST_RAISED));
  let two = raised * raised;
  if (WEIGHTED) {
    return Powers(x, w * x, w * two, w * (two * raised), w * (two * two), w * (two * two * raised));
  }
  return Powers(F(0.0), x, two, two * raised, two * two, two * two * raised);
}

struct Ordered {
  low: Entry,
  high: Entry,
}

fn ordered(a: Entry, b: Entry) -> Ordered {
  if (WEIGHTED) {
    let swap = a.u > b.u;
    return Ordered(
      Entry(select(a.u, b.u, swap), select(a.w, b.w, swap)),
      Entry(select(b.u, a.u, swap), select(b.w, a.w, swap)),
    );
  }
  return Ordered(Entry(min(a.u, b.u), a.w), Entry(max(a.u, b.u), a.w));
}

fn entry_of(one: Class) -> Entry {
  return Entry(one.u, one.negative);
}

// u of a class that has a negative side.
fn negative_u(entry: Entry) -> F {
  return select(F(NEG_MAX), entry.u, entry.w != F(0.0));
}

// Four more classes. All but the largest of them and of those before enter the sums.
fn collect(mine: ptr<function, Collected>, a: Class, b: Class, c: Class, d: Class) {
  let ab = ordered(entry_of(a), entry_of(b));
  let cd = ordered(entry_of(c), entry_of(d));
  let high = ordered(ab.high, cd.high);
  let top = ordered(high.high, (*mine).top);
  collect_positives(mine, top.high.u, a, b, c, d);
  (*mine).top = top.high;
  let second = max(max((*mine).second, top.low.u), max(max(ab.low.u, cd.low.u), high.low.u));
  if (MULTI_HOT) {
    let likely = max(max(negative_u(ab.low), negative_u(cd.low)), max(negative_u(high.low), negative_u(top.low)));
    (*mine).likely = max((*mine).likely, likely);
  }
  let before = shrunk((*mine).powers, exp((*mine).second - second));
  (*mine).second = second;
  let ab_powers = powers_of(exp(ab.low.u - second), ab.low.w);
  let cd_powers = powers_of(exp(cd.low.u - second), cd.low.w);
  let high_powers = powers_of(exp(high.low.u - second), high.low.w);
  let top_powers = powers_of(exp(top.low.u - second), top.low.w);
  (*mine).powers = sum_of(before, sum_of(sum_of(ab_powers, cd_powers), sum_of(high_powers, top_powers)));
}

fn collect_block(mine: ptr<function, Collected>, row: Row, block: u32, thread: u32, u: Quad) {
  let a = class_of(mine, row, column(row, block, thread, 0u), u.a, true);
  let b = class_of(mine, row, column(row, block, thread, 1u), u.b, true);
  let c = class_of(mine, row, column(row, block, thread, 2u), u.c, true);
  let d = class_of(mine, row, column(row, block, thread, 3u), u.d, true);
  collect(mine, a, b, c, d);
}

// Classes outside of the row are masked already.
fn collect_edge(mine: ptr<function, Collected>, row: Row, j: vec4<u32>, u: Quad) {
  let a = class_of(mine, row, clamped(j.x), u.a, is_inside(j.x));
  let b = class_of(mine, row, clamped(j.y), u.b, is_inside(j.y));
  let c = class_of(mine, row, clamped(j.z), u.c, is_inside(j.z));
  let d = class_of(mine, row, clamped(j.w), u.d, is_inside(j.w));
  collect(mine, a, b, c, d);
}

// Sums of sums: a stretch of blocks is added up by itself, so that long rows lose fewer digits.
fn end_stretch(mine: ptr<function, Collected>) {
  (*mine).before = sum_of(shrunk((*mine).before, exp((*mine).began - (*mine).second)), (*mine).powers);
  (*mine).powers = no_powers();
  (*mine).began = (*mine).second;
  end_positives(mine);
}

// The mass of the thread's classes.
fn collected_mass(mine: Collected) -> Mass {
  var others = mine.before.one;
  if (WEIGHTED) {
    others = mine.before.mass;
  }
  // Nothing but masked classes: they counted as 1 each.
  others = select(others, F(0.0), mine.second <= F(NEG_MAX));
  return with_positives(Mass(mine.top.u, mine.second, others), mine);
}

// p of the classes of some u.
fn share_of_u(u: F, share: Share) -> F {
  return select(exp(u - share.max) * share.inverse_sum, F(0.0), u <= F(NEG_MAX));
}

fn collected_part(mine: Collected, row: Row, thread: u32, share: Share) -> Part {
  let p = share_of_u(mine.second, share);
  let sums = mine.before;
  var w = F(1.0);
  if (!WEIGHTS_DIFFER) {
    w = weight_of(row, load_column(0u), 0u, F(0.0), F(0.0));
  }
  var top_w = w;
  if (WEIGHTED) {
    top_w = w * mine.top.w;
  }
  var loss = 0.243197411 * sums.four + p * 0.261088564 * sums.five;
  loss = 0.499996214 * sums.two + p * (0.333623143 * sums.three + p * loss);
  loss = p * (sums.one + p * loss);
  var total = 0.957730125 * sums.four + p * 1.377356777 * sums.five;
  total = 0.999976532 * sums.two + p * (1.001800618 * sums.three + p * total);
  total = select(p * (sums.one + p * total), p * (p * 1e12) * sums.two, p <= F(1e-12));
  let top = link(F(0.0), top_w, mine.top.u, share);
  var likely = p;
  if (MULTI_HOT) {
    likely = share_of_u(mine.likely, share);
  }
  let positives = positives_part(mine, row, thread, share);
  return Part(
    w * loss + (top.loss + positives.loss),
    w * total + (top.d * top.p + positives.total),
    (likely > F(LIMIT)) | positives.again,
  );
}
