// The plan's numbers and the fixed places of its fields. The host's struct is checked against this one by a test.

struct Params {
  rows: u32,
  classes: u32,
  first_row: u32,
  logits_stride: u32,
  gradient_stride: u32,
  dense_stride: u32,
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

// params.flags: what the caller gives, and whether there is an ignored index.
const FLAG_ROW_WEIGHTS: u32 = 1u;
const FLAG_FEATURE_NORMS: u32 = 2u;
const FLAG_IGNORE_INDEX: u32 = 4u;
const FLAG_CLASS_SMOOTHING: u32 = 8u;

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

// rows_in[field * N + n]; the second label's fields follow at FIELDS_PER_LABEL.
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

// saved[field * N + n]; the first four are the outputs on request.
const SAVED_LOSS: u32 = 0u;
const SAVED_LOG_SUM_EXP: u32 = 1u;
const SAVED_PROBABILITY: u32 = 2u;
const SAVED_ARGMAX: u32 = 3u;
const SAVED_COEFFICIENT: u32 = 4u;
const SAVED_REFERENCE: u32 = 5u;
const SAVED_DENSE: u32 = 6u;
const SAVED_FIRST: u32 = 7u;
const SAVED_SECOND: u32 = 8u;
const SAVED_THRESHOLD: u32 = 9u;

// The first columns of classes[column * K + j]; those of the inner loops follow, placed by the header.
const COLUMN_WEIGHT: u32 = 0u;
const COLUMN_MARGIN: u32 = 1u;
const COLUMN_SMOOTHING: u32 = 2u;
