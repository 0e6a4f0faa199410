// The numbers of LADE's regulariser, and its table of classes. The host's struct is checked against this one by a test.

struct Numbers {
  lambda: f32,
  // What the regulariser is multiplied by.
  weight: f32,
  // What the gradient that is added to is multiplied by.
  old_factor: f32,
}

@group(0) @binding(10) var<uniform> numbers: Numbers;

// classes[]: the spec's columns; what rows have added up to so far: the largest z + ratio, the sum of exponentials
// under it, the class's own logits and how many; what the gradient is made of.
const TABLE_RATIO: u32 = 0u;
const TABLE_WEIGHT: u32 = 1u;
const TABLE_MAX: u32 = 2u;
const TABLE_SUM: u32 = 3u;
const TABLE_OWN: u32 = 4u;
const TABLE_COUNT: u32 = 5u;
const TABLE_FACTOR_OWN: u32 = 6u;
const TABLE_FACTOR_ALL: u32 = 7u;

fn table(column: u32, j: u32) -> f32 {
  return classes[column * window.classes + j];
}

// saved[]: the largest logit so far.
const SAVED_BEST: u32 = SAVED_EXTRA;
