//! A spec's numbers as the kernels read them.

use super::key::GroupedTerms;
use super::tables::Tables;
use crate::grouped::GroupReduction;
use crate::random::{DrawSource, threshold_24};
use crate::{GroupedLoss, Reduction};

/// The uniform block of a loss, the twin of `Spec` in `shaders/grouped/spec.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there and in the spec")]
pub struct GroupedNumbers {
    pub segments: u32,
    pub labels: u32,
    pub slots: u32,
    pub level_count: u32,
    pub starts: u32,
    pub segment_flags: u32,
    pub segment_slots: u32,
    pub column_segments: u32,
    pub label_starts: u32,
    pub label_columns: u32,
    pub label_pairs: u32,
    pub quotas: u32,
    pub levels: u32,
    pub chunks: u32,
    pub wide: u32,
    pub node_segments: u32,
    pub column_nodes: u32,
    pub reduction: u32,
    pub fixed_inverse: f32,
    pub weight: f32,
    pub tree_weight: f32,
    pub ceiling: f32,
    pub drop_threshold: u32,
    pub seed_low: u32,
    pub seed_high: u32,
    pub ignore_index: i32,
    pub flags: u32,
}

/// Bits of [`GroupedNumbers::flags`], as in `shaders/grouped/spec.wgsl`.
const ROW_WEIGHTS: u32 = 1;
const IGNORE_INDEX: u32 = 2;
const IN_ORDER: u32 = 4;

/// Kinds of reductions, as there.
const FIXED: u32 = 0;
const KEPT: u32 = 1;
const PAIRS: u32 = 2;
const PER_GROUP: u32 = 3;

/// Which terms a spec has.
pub(super) fn terms(spec: &GroupedLoss) -> GroupedTerms {
    let sampled = spec.segments.iter().any(|segment| segment.sampled);
    let counter = |source: DrawSource| source == DrawSource::Counter;
    GroupedTerms {
        others: spec.segments.iter().any(|segment| segment.others),
        drawn: sampled && spec.sampling.is_some_and(|sampling| counter(sampling.source)),
        given: spec.given(),
        per_group: spec.reduction == GroupReduction::PerGroup,
        tree: spec.tree.is_some(),
    }
}

/// Narrows a checked number; `check` has made sure that it is finite in f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the kernels compute in")]
fn narrow(value: f64) -> f32 {
    value as f32
}

impl GroupedNumbers {
    /// The numbers of a spec that has passed its check, for a batch of `rows`.
    pub(super) fn new(spec: &GroupedLoss, tables: &Tables, rows: u64, row_weights: bool) -> Self {
        let inverse = |denominator: f64| if denominator > 0.0 { narrow(1.0 / denominator) } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "an f32 denominator has fewer bits")]
        let batch = rows as f64;
        let (reduction, fixed_inverse) = match spec.reduction {
            GroupReduction::PerGroup => (PER_GROUP, 0.0),
            GroupReduction::Pairs => (PAIRS, 0.0),
            GroupReduction::Rows(Reduction::None | Reduction::Sum) => (FIXED, 1.0),
            GroupReduction::Rows(Reduction::Mean) => (FIXED, inverse(batch)),
            GroupReduction::Rows(Reduction::Fixed(denominator)) => (FIXED, inverse(denominator)),
            GroupReduction::Rows(_) => (KEPT, 0.0),
        };
        let seed = match (&spec.sampling, &spec.tree) {
            (_, Some(tree)) => tree.seed,
            (Some(sampling), None) => sampling.seed,
            (None, None) => 0,
        };
        let flag = |present: bool, bit: u32| if present { bit } else { 0 };
        let places = tables.places;
        Self {
            segments: tables.segments,
            labels: tables.labels,
            slots: tables.slots,
            level_count: u32::try_from(tables.levels.len()).unwrap_or(u32::MAX),
            starts: places.starts,
            segment_flags: places.segment_flags,
            segment_slots: places.segment_slots,
            column_segments: places.column_segments,
            label_starts: places.label_starts,
            label_columns: places.label_columns,
            label_pairs: places.label_pairs,
            quotas: places.quotas,
            levels: places.levels,
            chunks: places.chunks,
            wide: places.wide,
            node_segments: places.node_segments,
            column_nodes: places.column_nodes,
            reduction,
            fixed_inverse,
            weight: narrow(spec.weight),
            tree_weight: spec.tree.map_or(0.0, |tree| narrow(tree.weight)),
            ceiling: spec.tree.and_then(|tree| tree.ceiling).map_or(f32::MAX, narrow),
            drop_threshold: spec.tree.map_or(0, |tree| threshold_24(tree.drop_probability)),
            seed_low: (seed & 0xffff_ffff) as u32,
            seed_high: (seed >> 32) as u32,
            ignore_index: spec.ignore_index.unwrap_or(0),
            flags: flag(row_weights, ROW_WEIGHTS)
                | flag(spec.ignore_index.is_some(), IGNORE_INDEX)
                | flag(tables.in_order, IN_ORDER),
        }
    }
}
