// The fields of a row in the grouped family.

// rows_in[field * N + n], after the label.
const FIELD_WEIGHT: u32 = 1u;

// saved[field * N + n]: the outputs after the loss; the row's part of the reduced loss; the tree's part; the slots
// (row.wgsl).
const SAVED_LOG_SUM_EXP: u32 = 1u;
const SAVED_PROBABILITY: u32 = 2u;
const SAVED_ARGMAX: u32 = 3u;
const SAVED_REDUCED: u32 = SAVED_EXTRA;
const SAVED_LEAF_REFERENCE: u32 = SAVED_EXTRA + 1u;
const SAVED_LEAF_COEFFICIENT: u32 = SAVED_EXTRA + 2u;
const SAVED_LEAF_REST: u32 = SAVED_EXTRA + 3u;
const SAVED_SLOTS: u32 = SAVED_EXTRA + 1u + TREE_FIELDS;

// The fields of a slot: the segment in it (NONE without one), its target's column, and of the gradient the log-sum-exp,
// the factor, and what the target gets.
const SLOT_FIELDS: u32 = 5u;
const SLOT_SEGMENT: u32 = 0u;
const SLOT_TARGET: u32 = 1u;
const SLOT_REFERENCE: u32 = 2u;
const SLOT_COEFFICIENT: u32 = 3u;
const SLOT_FIRST: u32 = 4u;

// tally[g * TALLY_FIELDS + field], for each segment: rows with a column of their own, rows of others, the sum of given
// weights; the last drawn row's key and number, and whether any is drawn; 1 / denominator.
const TALLY_FIELDS: u32 = 8u;
const TALLY_OWN: u32 = 0u;
const TALLY_OTHERS: u32 = 1u;
const TALLY_SUM: u32 = 2u;
const TALLY_LAST_KEY: u32 = 3u;
const TALLY_LAST_ROW: u32 = 4u;
const TALLY_DRAWN: u32 = 5u;
const TALLY_INVERSE: u32 = 6u;
// After the segments, for the batch: kept rows, pairs of a kept row and a segment, 1 / denominator of the segments' part
// and of the tree's.
const TALLY_KEPT: u32 = 0u;
const TALLY_PAIRS: u32 = 1u;
const TALLY_BATCH_INVERSE: u32 = 2u;
const TALLY_TREE_INVERSE: u32 = 3u;
