// A window's numbers and the fixed places of its fields. The host's struct is checked against this one by a test.
//
// A window is a range of rows and a range of classes that fits the device's bindings: a small problem of its own, with
// rows and classes counted from its first. Most plans have one window, the whole batch.

struct Params {
  // The window: its size, and where it lies in the batch and among all classes.
  rows: u32,
  classes: u32,
  total_classes: u32,
  first_class: u32,
  batch_rows: u32,
  batch_row: u32,
  first_row: u32,
  row_shift: u32,
  // Where its matrices start in their bindings and how far apart rows are, in elements.
  logits_origin: u32,
  logits_stride: u32,
  gradient_origin: u32,
  gradient_stride: u32,
  dense_origin: u32,
  dense_stride: u32,
  row_step: u32,
  // Rows split over workgroups: pieces of this window, its first slot, the slots of a whole row, the shards.
  pieces: u32,
  piece_blocks: u32,
  first_slot: u32,
  slots: u32,
  shard: u32,
  shards: u32,
  own_first_class: u32,
  own_classes: u32,
  first_sum: u32,
  sums: u32,
  // Columns of the class table that only labels look at; NO_COLUMN where absent.
  weight_column: u32,
  margin_column: u32,
  smoothing_column: u32,
  // The spec.
  reduction: u32,
  scale: f32,
  label_smoothing: f32,
  z_loss: f32,
  fixed_inverse: f32,
  focal_gamma: f32,
  focal_flags: u32,
  influence_alpha: f32,
  influence_eps: f32,
  influence_flags: u32,
  seesaw_p: f32,
  seesaw_q: f32,
  seesaw_log_eps: f32,
  gate_source: u32,
  drop_threshold: u32,
  seed_low: u32,
  seed_high: u32,
  ignore_index: i32,
  flags: u32,
  infinity: u32,
  nan: u32,
}

const NO_COLUMN: u32 = 0xffffffffu;

// params.flags: what the caller gives, whether there is an ignored index, and which window this is.
const FLAG_ROW_WEIGHTS: u32 = 1u;
const FLAG_FEATURE_NORMS: u32 = 2u;
const FLAG_IGNORE_INDEX: u32 = 4u;
const FLAG_FIRST_WINDOW: u32 = 8u;
const FLAG_FIRST_OF_ROWS: u32 = 16u;
const FLAG_FIRST_OF_CLASSES: u32 = 32u;

const FOCAL_ON: u32 = 1u;
const FOCAL_DETACHED: u32 = 2u;
const FOCAL_WEIGHT_INSIDE: u32 = 4u;
const INFLUENCE_ON: u32 = 1u;
const INFLUENCE_DETACHED: u32 = 2u;

const REDUCTION_FIXED: u32 = 0u;
const REDUCTION_KEPT: u32 = 1u;
const REDUCTION_WEIGHTED: u32 = 2u;

const GATE_ELEMENT: u32 = 0u;
const GATE_SAMPLE: u32 = 1u;
const GATE_CLASS: u32 = 2u;

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

// rows_in[field * N + n]; the second label's fields follow at FIELDS_PER_LABEL. Labels count all classes.
const FIELD_LABEL: u32 = 0u;
const FIELD_MARGIN: u32 = 1u;
const FIELD_SHARE: u32 = 2u;
const FIELD_WEIGHT: u32 = 3u;
const FIELD_SMOOTHING: u32 = 4u;
const FIELD_INVERSE_POWER: u32 = 5u;
const FIELD_FEATURE: u32 = 6u;
const FIELDS_PER_LABEL: u32 = 7u;

// Labels as the kernels see them.
const LABEL_NONE: i32 = -1;
const LABEL_BAD: i32 = -2;
// In another window.
const LABEL_ELSEWHERE: i32 = -3;

// saved[field * N + n]: the outputs on request; the edges of a packed gradient (stitch.wgsl); what a backward pass
// needs; the labels' v and the slots of rows that are split (slots.wgsl). SAVED_EXTRA comes from the header, since most
// gradients have no edges.
const SAVED_LOSS: u32 = 0u;
const SAVED_LOG_SUM_EXP: u32 = 1u;
const SAVED_PROBABILITY: u32 = 2u;
const SAVED_ARGMAX: u32 = 3u;
const SAVED_EDGES: u32 = 4u;
const SAVED_COEFFICIENT: u32 = SAVED_EXTRA;
const SAVED_REFERENCE: u32 = SAVED_EXTRA + 1u;
const SAVED_DENSE: u32 = SAVED_EXTRA + 2u;
const SAVED_FIRST: u32 = SAVED_EXTRA + 3u;
const SAVED_SECOND: u32 = SAVED_EXTRA + 4u;
const SAVED_THRESHOLD: u32 = SAVED_EXTRA + 5u;
const SAVED_LABELS: u32 = SAVED_EXTRA + 6u;
const SAVED_SLOTS: u32 = SAVED_EXTRA + 10u;

// Sums over many rows: rows of one sum, words of one.
const SUM_ITEMS: u32 = 8192u;
const SUM_WORDS: u32 = 5u;
