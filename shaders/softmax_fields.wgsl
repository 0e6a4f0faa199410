// The fields of a row in the softmax family.

// rows_in[field * N + n], after the label; the second label's follow at FIELDS_PER_LABEL.
const FIELD_MARGIN: u32 = 1u;
const FIELD_SHARE: u32 = 2u;
const FIELD_WEIGHT: u32 = 3u;
const FIELD_SMOOTHING: u32 = 4u;
const FIELD_INVERSE_POWER: u32 = 5u;
const FIELD_FEATURE: u32 = 6u;

// saved[field * N + n]: the outputs after the loss; what a backward pass needs; the labels' v and the slots of rows that
// are split (slots.wgsl).
const SAVED_LOG_SUM_EXP: u32 = 1u;
const SAVED_PROBABILITY: u32 = 2u;
const SAVED_ARGMAX: u32 = 3u;
const SAVED_COEFFICIENT: u32 = SAVED_EXTRA;
const SAVED_REFERENCE: u32 = SAVED_EXTRA + 1u;
const SAVED_DENSE: u32 = SAVED_EXTRA + 2u;
const SAVED_FIRST: u32 = SAVED_EXTRA + 3u;
const SAVED_SECOND: u32 = SAVED_EXTRA + 4u;
const SAVED_THRESHOLD: u32 = SAVED_EXTRA + 5u;
const SAVED_LABELS: u32 = SAVED_EXTRA + 6u;
const SAVED_SLOTS: u32 = SAVED_EXTRA + 10u;
