// The numbers of a loss of the softmax family. The host's struct is checked against this one by a test.

struct Spec {
  // Columns of the class table that only labels look at; NO_COLUMN where absent.
  weight_column: u32,
  margin_column: u32,
  smoothing_column: u32,
  // The first column of a regulariser's, which follow.
  regulariser_column: u32,
  reduction: u32,
  scale: f32,
  // One by it, and what it is in an exponent of 2: scale log2(e).
  inverse_scale: f32,
  exponent_scale: f32,
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
}

@group(0) @binding(10) var<uniform> spec: Spec;

const NO_COLUMN: u32 = 0xffffffffu;

// spec.flags: what the caller gives, and whether there is an ignored index.
const FLAG_ROW_WEIGHTS: u32 = 1u;
const FLAG_FEATURE_NORMS: u32 = 2u;
const FLAG_IGNORE_INDEX: u32 = 4u;

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
