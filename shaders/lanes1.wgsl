// One row per thread and step: a lane is a row.

alias F = f32;
alias I = i32;
alias U = u32;
alias B = bool;
const LANES: u32 = 1u;

fn any_lane(b: B) -> bool {
  return b;
}

fn sum_of_lanes(x: F) -> f32 {
  return x;
}

fn bits_of(x: F) -> U {
  return bitcast<u32>(x);
}

fn signed_bits_of(x: F) -> I {
  return bitcast<i32>(x);
}

fn ints_of(x: U) -> I {
  return bitcast<i32>(x);
}

fn float_of_bits(x: U) -> F {
  return bitcast<f32>(x);
}

// The rows of this workgroup; rows past the end repeat the last one and are never stored.
fn lane_rows(group: u32) -> U {
  return min(group, window.rows - 1u);
}

fn live_lanes(group: u32) -> B {
  return group < window.rows;
}

// A group has rows to work on unless the window ends before it.
fn is_group(group: u32) -> bool {
  return group < window.rows;
}

fn first_lane(x: U) -> u32 {
  return x;
}

fn load_logits(base: U, j: u32) -> F {
  return load_logit(base + j);
}

// The pair in a word of each row.
fn load_logit_words(words: U, place: u32) -> Pair {
  let pair = load_logit_word(words + place);
  return Pair(pair.x, pair.y);
}

// Columns j and j + 1.
fn load_logit_pairs(base: U, j: u32) -> Pair {
  let pair = load_logit_pair(base + j);
  return Pair(pair.x, pair.y);
}

// Each lane's own column.
fn load_logits_at(base: U, j: U) -> F {
  return load_logit(base + j);
}

// The same without leaving the row's words; j may be one less than 0.
fn load_logit_pairs_inside(base: U, j: u32) -> Pair {
  let last = base + window.classes - 1u;
  return load_logit_pairs(clamp(base + j, base & 0xfffffffeu, last & 0xfffffffeu), 0u);
}

fn load_dense_lanes(base: U, j: u32) -> F {
  return load_dense(base + j);
}

fn load_dense_at(base: U, j: U) -> F {
  return load_dense(base + j);
}

fn load_class_at(column: u32, j: U) -> F {
  return classes[column * window.classes + j];
}

fn load_row(field: u32, rows: U) -> F {
  return bitcast<f32>(rows_in[field * window.rows + rows]);
}

fn load_row_int(field: u32, rows: U) -> I {
  return bitcast<i32>(rows_in[field * window.rows + rows]);
}

fn load_saved(field: u32, rows: U) -> U {
  return saved[field * window.rows + rows];
}

fn store_saved(field: u32, rows: U, value: U, live: B) {
  if (live) {
    saved[field * window.rows + rows] = value;
  }
}

fn store_gradients(base: U, j: u32, value: F, live: B) {
  if (live) {
    store_gradient(base + j, value);
  }
}

// Columns j and j + 1.
fn store_gradient_pairs(base: U, j: u32, x: F, y: F, live: B) {
  if (live) {
    store_gradient_pair(base + j, x, y);
  }
}

// The pair in a word of each row.
fn store_gradient_words(words: U, place: u32, x: F, y: F, live: B) {
  if (live) {
    store_gradient_word(words + place, x, y);
  }
}

fn gradient_bits_of(value: F) -> U {
  return gradient_bits(value);
}

fn load_upstream_lanes(rows: U) -> F {
  return load_upstream(rows);
}

// Gates' draws, 16 bits of each lane's row and column: rows of which only the lowest two bits differ share a call of the
// generator, and each takes a half of a word.
fn draws_of(rows: U, columns: U) -> U {
  return half_for(threefry(rows >> 2u, columns), rows);
}

fn draws_of_column(rows: U, column: u32) -> U {
  return draws_of(rows, column);
}

fn half_for(words: vec2<u32>, rows: U) -> U {
  let word = select(words.x, words.y, (rows & 2u) == 2u);
  return (word >> (16u * (rows & 1u))) & 0xffffu;
}
