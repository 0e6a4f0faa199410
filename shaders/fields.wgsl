// The places that the kernels of every family agree on. SAVED_EXTRA, the first field of `saved` that is a family's own,
// comes from the header.

// scalars[]
const SCALAR_INVERSE: u32 = 0u;
const SCALAR_LOSS: u32 = 1u;
const SCALAR_KEY_0: u32 = 2u;
const SCALAR_KEY_1: u32 = 3u;
const SCALAR_STEP_LOW: u32 = 4u;
const SCALAR_STEP_HIGH: u32 = 5u;
const SCALAR_BAD_LABELS: u32 = 6u;
const SCALAR_FIRST_BAD_LABEL: u32 = 7u;
const SCALAR_BAD_ROWS: u32 = 8u;
const SCALAR_FIRST_BAD_ROW: u32 = 9u;

// The first field of a row's in rows_in[field * N + n]: its label, among all classes; that of a second label follows
// FIELDS_PER_LABEL fields later.
const FIELD_LABEL: u32 = 0u;
const FIELDS_PER_LABEL: u32 = 7u;

// Labels as the kernels see them.
const LABEL_NONE: i32 = -1;
const LABEL_BAD: i32 = -2;
// In another window.
const LABEL_ELSEWHERE: i32 = -3;

// The first field in saved[field * N + n]: the row's loss. A packed gradient's edges follow the outputs (stitch.wgsl).
const SAVED_LOSS: u32 = 0u;
const SAVED_EDGES: u32 = 4u;

// Sums over many rows: rows of one sum, words of one.
const SUM_ITEMS: u32 = 2048u;
const SUM_WORDS: u32 = 5u;
