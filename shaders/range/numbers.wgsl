// The numbers of range loss, and what rows keep of their classes. The host's struct is checked against this one by a test.

struct Numbers {
  pairs: u32,
  margin: f32,
  intra_weight: f32,
  inter_weight: f32,
  ignore_index: i32,
  has_ignore_index: u32,
}

@group(0) @binding(10) var<uniform> numbers: Numbers;

const NO_ROW: u32 = 0xffffffffu;
// No distance is smaller.
const SMALLEST: f32 = 1e-6;

// saved[]: the first row of a row's class, the next one, how many there are; then what only the class's first row has:
// its part of the loss, the nearest centre's distance and class, and its pairs. The first row of all has the two nearest
// centres.
const SAVED_FIRST_ROW: u32 = SAVED_EXTRA + 1u;
const SAVED_NEXT_ROW: u32 = SAVED_EXTRA + 2u;
const SAVED_SIZE: u32 = SAVED_EXTRA + 3u;
const SAVED_INTRA: u32 = SAVED_EXTRA + 4u;
const SAVED_NEAR: u32 = SAVED_EXTRA + 5u;
const SAVED_NEAR_ROW: u32 = SAVED_EXTRA + 6u;
const SAVED_CENTRE_A: u32 = SAVED_EXTRA + 7u;
const SAVED_CENTRE_B: u32 = SAVED_EXTRA + 8u;
const SAVED_CENTRE_FACTOR: u32 = SAVED_EXTRA + 9u;
const SAVED_PAIRS: u32 = SAVED_EXTRA + 10u;
// A pair: its two rows, and its distance, in the end what the rows' difference is multiplied by.
const PAIR_FIELDS: u32 = 3u;

fn held(field: u32, row: u32) -> u32 {
  return saved[field * window.rows + row];
}

fn held_number(field: u32, row: u32) -> f32 {
  return bitcast<f32>(held(field, row));
}

fn keep(field: u32, row: u32, bits: u32) {
  saved[field * window.rows + row] = bits;
}

fn keep_number(field: u32, row: u32, value: f32) {
  keep(field, row, bitcast<u32>(value));
}
