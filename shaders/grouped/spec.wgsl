// The numbers of a loss of the grouped family, and where things lie in `tables`. The host's struct is checked against
// this one by a test.

struct Spec {
  segments: u32,
  labels: u32,
  // Slots of a row: segments that no label has both of may share one.
  slots: u32,
  // Levels of the tree.
  level_count: u32,
  // Where in `tables`: [G + 1] first columns, [G] flags, [G] slots, [W] segments,
  // [C + 1] starts in the list of the labels' columns, that list, [C] segments that a label takes part in, [N + 1] quotas.
  starts: u32,
  segment_flags: u32,
  segment_slots: u32,
  column_segments: u32,
  label_starts: u32,
  label_columns: u32,
  label_pairs: u32,
  quotas: u32,
  // In a tree, with nodes numbered level by level: [D + 1, 3] levels, chunks, nodes with many columns (nodes.wgsl), [G] the
  // segment of each node, [W] the node below each column.
  levels: u32,
  chunks: u32,
  wide: u32,
  node_segments: u32,
  column_nodes: u32,
  reduction: u32,
  fixed_inverse: f32,
  weight: f32,
  tree_weight: f32,
  ceiling: f32,
  drop_threshold: u32,
  seed_low: u32,
  seed_high: u32,
  ignore_index: i32,
  flags: u32,
}

@group(0) @binding(10) var<uniform> spec: Spec;

// spec.flags: what the caller gives, whether there is an ignored index, and whether a tree's nodes are in the order of
// their segments.
const FLAG_ROW_WEIGHTS: u32 = 1u;
const FLAG_IGNORE_INDEX: u32 = 2u;
const FLAG_IN_ORDER: u32 = 4u;

const REDUCTION_FIXED: u32 = 0u;
const REDUCTION_KEPT: u32 = 1u;
const REDUCTION_PAIRS: u32 = 2u;
const REDUCTION_PER_GROUP: u32 = 3u;

// Flags of a segment.
const SEGMENT_OTHERS: u32 = 1u;
const SEGMENT_SAMPLED: u32 = 2u;

const NONE: u32 = 0xffffffffu;
