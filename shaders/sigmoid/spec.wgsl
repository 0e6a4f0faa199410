// The numbers of a loss of the sigmoid family. The host's struct is checked against this one by a test.

struct Spec {
  reduction: u32,
  fixed_inverse: f32,
  scale: f32,
  negative_scale: f32,
  inverse_negative_scale: f32,
  positive_factor: f32,
  negative_factor: f32,
  focal_gamma: f32,
  // What the change of the modulator counts for in the gradient: gamma, or 0 where it is a constant there.
  focal_change: f32,
  // Re-balancing, and the reciprocal count that gives the largest weight.
  rebalance_alpha: f32,
  rebalance_beta: f32,
  rebalance_gamma: f32,
  // beta gamma
  rebalance_start: f32,
  extreme_inverse_count: f32,
  // The largest class weight.
  largest_weight: f32,
  weight_norm: u32,
  // A row's weight: of rows without a positive, and the rule for several of them.
  row_weight_rule: u32,
  row_weight_of_none: f32,
  one_minus_beta: f32,
  minus_log_beta: f32,
  absent: f32,
  // Accumulated gradients.
  balance_gamma: f32,
  balance_mu: f32,
  balance_alpha: f32,
  // Scores that count are at least this, before the sigmoid.
  score_threshold: f32,
  gate_source: u32,
  drop_threshold: u32,
  seed_low: u32,
  seed_high: u32,
  background_column: i32,
  background_label: i32,
  ignore_index: i32,
  flags: u32,
}

@group(0) @binding(10) var<uniform> spec: Spec;

// spec.flags
const FLAG_ROW_WEIGHTS: u32 = 1u;
const FLAG_IGNORE_INDEX: u32 = 2u;
const FLAG_BACKGROUND_COLUMN: u32 = 4u;
const FLAG_BACKGROUND_LABEL: u32 = 8u;
const FLAG_DRAWS_GIVEN: u32 = 16u;

const REDUCTION_FIXED: u32 = 0u;
const REDUCTION_KEPT: u32 = 1u;
const REDUCTION_POSITIVES: u32 = 2u;

const NORM_NONE: u32 = 0u;
const NORM_ROW: u32 = 1u;
const NORM_BATCH: u32 = 2u;

const RULE_MEAN: u32 = 0u;
const RULE_EFFECTIVE_OF_MEAN: u32 = 1u;
const RULE_EFFECTIVE_OF_MIN: u32 = 2u;

const GATE_ELEMENT: u32 = 0u;
const GATE_SAMPLE: u32 = 1u;
const GATE_CLASS: u32 = 2u;

// Groups of classes for the draws of background rows; the generator's streams follow each other downwards.
const GROUPS: u32 = 3u;
const FIRST_STREAM: u32 = 0xfffffffeu;
