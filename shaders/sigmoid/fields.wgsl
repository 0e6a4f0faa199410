// The fields of a row in the sigmoid family, all from its targets alone.

// rows_in[field * N + n], after the label.
const FIELD_WEIGHT: u32 = 1u;      // the batch's row weight; 0 for ignored rows, NaN for bad labels
const FIELD_BACKGROUND: u32 = 2u;  // 1 or 0
const FIELD_RHO: u32 = 3u;         // the row's weight from its positives, and its norm
const FIELD_SHARE: u32 = 4u;       // sum_k t_k / n_k
const FIELD_MARGIN: u32 = 5u;      // sum_k t_k m_k
const FIELD_COUNT: u32 = 6u;       // sum_k t_k
const FIELD_DRAWN: u32 = 7u;       // bits: the groups that this background row was drawn for
const FIELD_FACTOR: u32 = 8u;      // the upstream gradient over the denominator

// A label of background rows outside of the classes.
const LABEL_BACKGROUND: i32 = -4;

// saved[field * N + n], and the slots of rows that are split.
const SAVED_ARGMAX: u32 = 3u;
const SLOT_LOSS: u32 = 0u;
const SLOT_BAD: u32 = 1u;
const SLOT_BEST: u32 = 2u;
const SLOT_INDEX: u32 = 3u;
const SLOT_FIELDS: u32 = 4u;

// scalars[] of this family.
const SCALAR_NORM: u32 = 10u;
