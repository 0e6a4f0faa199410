// One denominator serves the whole batch: a row's part of the reduced loss is its loss.
const SAVED_REDUCED: u32 = SAVED_LOSS;
