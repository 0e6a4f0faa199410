// Four rows per thread and step: a lane is a row. What belongs to a class is loaded once for all four, and four
// independent loads are in flight.

alias F = vec4<f32>;
alias I = vec4<i32>;
alias U = vec4<u32>;
alias B = vec4<bool>;
const LANES: u32 = 4u;

fn any_lane(b: B) -> bool {
  return any(b);
}

fn sum_of_lanes(x: F) -> f32 {
  return (x.x + x.y) + (x.z + x.w);
}

fn bits_of(x: F) -> U {
  return bitcast<vec4<u32>>(x);
}

fn signed_bits_of(x: F) -> I {
  return bitcast<vec4<i32>>(x);
}

fn ints_of(x: U) -> I {
  return bitcast<vec4<i32>>(x);
}

fn float_of_bits(x: U) -> F {
  return bitcast<vec4<f32>>(x);
}

// The rows of a group: four that follow each other, or every other one of eight (row_step 2), so that all four start
// on the same half of a word.
fn group_rows(group: u32) -> U {
  let step = window.row_step;
  return U((group / step) * 4u * step + group % step) + step * U(0u, 1u, 2u, 3u);
}

// The rows of this workgroup; rows past the end repeat the last one and are never stored.
fn lane_rows(group: u32) -> U {
  return min(group_rows(group), U(window.rows - 1u));
}

fn live_lanes(group: u32) -> B {
  return group_rows(group) < U(window.rows);
}

// A group has rows to work on unless the window ends before the first of them.
fn is_group(group: u32) -> bool {
  return group_rows(group).x < window.rows;
}

fn first_lane(x: U) -> u32 {
  return x.x;
}

fn load_logits(base: U, j: u32) -> F {
  return F(load_logit(base.x + j), load_logit(base.y + j), load_logit(base.z + j), load_logit(base.w + j));
}

// The pair in a word of each row.
fn load_logit_words(words: U, place: u32) -> Pair {
  let x = load_logit_word(words.x + place);
  let y = load_logit_word(words.y + place);
  let z = load_logit_word(words.z + place);
  let w = load_logit_word(words.w + place);
  return Pair(F(x.x, y.x, z.x, w.x), F(x.y, y.y, z.y, w.y));
}

// Columns j and j + 1.
fn load_logit_pairs(base: U, j: u32) -> Pair {
  let x = load_logit_pair(base.x + j);
  let y = load_logit_pair(base.y + j);
  let z = load_logit_pair(base.z + j);
  let w = load_logit_pair(base.w + j);
  return Pair(F(x.x, y.x, z.x, w.x), F(x.y, y.y, z.y, w.y));
}

// Each lane's own column.
fn load_logits_at(base: U, j: U) -> F {
  return F(load_logit(base.x + j.x), load_logit(base.y + j.y), load_logit(base.z + j.z), load_logit(base.w + j.w));
}

// The same without leaving the row's words; j may be one less than 0.
fn load_logit_pairs_inside(base: U, j: u32) -> Pair {
  let last = base + U(window.classes - 1u);
  return load_logit_pairs(clamp(base + U(j), base & U(0xfffffffeu), last & U(0xfffffffeu)), 0u);
}

fn load_dense_lanes(base: U, j: u32) -> F {
  return F(load_dense(base.x + j), load_dense(base.y + j), load_dense(base.z + j), load_dense(base.w + j));
}

fn load_dense_at(base: U, j: U) -> F {
  return F(load_dense(base.x + j.x), load_dense(base.y + j.y), load_dense(base.z + j.z), load_dense(base.w + j.w));
}

fn load_class_at(column: u32, j: U) -> F {
  let start = column * window.classes;
  return F(classes[start + j.x], classes[start + j.y], classes[start + j.z], classes[start + j.w]);
}

fn load_row_bits(field: u32, rows: U) -> U {
  let start = field * window.rows;
  return U(rows_in[start + rows.x], rows_in[start + rows.y], rows_in[start + rows.z], rows_in[start + rows.w]);
}

fn load_row(field: u32, rows: U) -> F {
  return float_of_bits(load_row_bits(field, rows));
}

fn load_row_int(field: u32, rows: U) -> I {
  return ints_of(load_row_bits(field, rows));
}

fn load_saved(field: u32, rows: U) -> U {
  let start = field * window.rows;
  return U(saved[start + rows.x], saved[start + rows.y], saved[start + rows.z], saved[start + rows.w]);
}

fn store_saved(field: u32, rows: U, value: U, live: B) {
  let start = field * window.rows;
  if (live.x) {
    saved[start + rows.x] = value.x;
  }
  if (live.y) {
    saved[start + rows.y] = value.y;
  }
  if (live.z) {
    saved[start + rows.z] = value.z;
  }
  if (live.w) {
    saved[start + rows.w] = value.w;
  }
}

fn store_gradients(base: U, j: u32, value: F, live: B) {
  if (live.x) {
    store_gradient(base.x + j, value.x);
  }
  if (live.y) {
    store_gradient(base.y + j, value.y);
  }
  if (live.z) {
    store_gradient(base.z + j, value.z);
  }
  if (live.w) {
    store_gradient(base.w + j, value.w);
  }
}

// Columns j and j + 1.
fn store_gradient_pairs(base: U, j: u32, x: F, y: F, live: B) {
  if (live.x) {
    store_gradient_pair(base.x + j, x.x, y.x);
  }
  if (live.y) {
    store_gradient_pair(base.y + j, x.y, y.y);
  }
  if (live.z) {
    store_gradient_pair(base.z + j, x.z, y.z);
  }
  if (live.w) {
    store_gradient_pair(base.w + j, x.w, y.w);
  }
}

// The pair in a word of each row.
fn store_gradient_words(words: U, place: u32, x: F, y: F, live: B) {
  if (live.x) {
    store_gradient_word(words.x + place, x.x, y.x);
  }
  if (live.y) {
    store_gradient_word(words.y + place, x.y, y.y);
  }
  if (live.z) {
    store_gradient_word(words.z + place, x.z, y.z);
  }
  if (live.w) {
    store_gradient_word(words.w + place, x.w, y.w);
  }
}

fn gradient_bits_of(value: F) -> U {
  return U(gradient_bits(value.x), gradient_bits(value.y), gradient_bits(value.z), gradient_bits(value.w));
}

fn load_upstream_lanes(rows: U) -> F {
  return F(load_upstream(rows.x), load_upstream(rows.y), load_upstream(rows.z), load_upstream(rows.w));
}

// Gates' draws, 16 bits of each lane's row and column: rows of which only the lowest two bits differ share a call of the
// generator, and each takes a half of a word.
fn draws_of(rows: U, columns: U) -> U {
  var out = U(0u);
  for (var lane = 0u; lane < LANES; lane++) {
    out[lane] = half_for(threefry(rows[lane] >> 2u, columns[lane]), rows)[lane];
  }
  return out;
}

// The same for one column: most often of four rows that share a call. Further turns are for those that do not, in their
// order; one call site, since a driver that runs both sides of a branch would pay for each.
fn draws_of_column(rows: U, column: u32) -> U {
  let fours = rows >> U(2u);
  var out = U(0u);
  var four = smallest(fours, B(true));
  loop {
    out = select(out, half_for(threefry(four, column), rows), fours == U(four));
    let later = fours > U(four);
    if (!any(later)) {
      break;
    }
    four = smallest(fours, later);
  }
  return out;
}

// The smallest of those that are asked for.
fn smallest(fours: U, wanted: B) -> u32 {
  let some = select(U(0xffffffffu), fours, wanted);
  return min(min(some.x, some.y), min(some.z, some.w));
}

fn half_for(words: vec2<u32>, rows: U) -> U {
  let word = select(U(words.x), U(words.y), (rows & U(2u)) == U(2u));
  return (word >> (16u * (rows & U(1u)))) & U(0xffffu);
}
