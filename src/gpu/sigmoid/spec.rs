//! A spec's numbers as the kernels read them: the uniform block and the class table.

use super::terms::{Column, SigmoidTerms};
use crate::batch::TargetKind;
use crate::classes::effective_weight;
use crate::random::DrawSource;
use crate::sigmoid::{Background, GateSource, RowWeight, SigmoidLoss, WeightNorm};
use crate::{Group, Reduction};
use std::ops::Range;

/// The uniform block of a loss, the twin of `Spec` in `shaders/sigmoid/spec.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there and in the spec")]
pub struct SigmoidNumbers {
    pub reduction: u32,
    pub fixed_inverse: f32,
    pub scale: f32,
    pub negative_scale: f32,
    pub inverse_negative_scale: f32,
    pub positive_factor: f32,
    pub negative_factor: f32,
    pub focal_gamma: f32,
    pub focal_change: f32,
    pub rebalance_alpha: f32,
    pub rebalance_beta: f32,
    pub rebalance_gamma: f32,
    pub rebalance_start: f32,
    pub extreme_inverse_count: f32,
    pub largest_weight: f32,
    pub weight_norm: u32,
    pub row_weight_rule: u32,
    pub row_weight_of_none: f32,
    pub one_minus_beta: f32,
    pub minus_log_beta: f32,
    pub absent: f32,
    pub balance_gamma: f32,
    pub balance_mu: f32,
    pub balance_alpha: f32,
    pub score_threshold: f32,
    pub gate_source: u32,
    pub drop_threshold: u32,
    pub seed_low: u32,
    pub seed_high: u32,
    pub background_column: i32,
    pub background_label: i32,
    pub ignore_index: i32,
    pub flags: u32,
}

/// Bits of [`SigmoidNumbers::flags`], as in `shaders/sigmoid/spec.wgsl`.
const ROW_WEIGHTS: u32 = 1;
const IGNORE_INDEX: u32 = 2;
const BACKGROUND_COLUMN: u32 = 4;
const BACKGROUND_LABEL: u32 = 8;

/// No draw, of 16 bits, is this large: every gate is closed.
const ALL_DRAWS: u32 = 1 << 16;

/// Which terms a spec needs in the inner loops.
#[expect(clippy::float_cmp, reason = "a number is its default exactly, or it is something else")]
pub(super) fn inner_terms(spec: &SigmoidLoss) -> SigmoidTerms {
    let given = spec.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given);
    let sides = [spec.positive_factor, spec.negative_factor];
    SigmoidTerms {
        bias: spec.bias.is_some(),
        bias_on_background: spec.bias_on_background,
        background: spec.background.is_some(),
        margin: spec.margin.is_some(),
        margin_summed: spec.margin.as_ref().is_some_and(|margin| margin.summed),
        negative_scale: spec.negative_scale != 1.0,
        positive_weight: spec.positive_weight.is_some(),
        class_weights: spec.class_weights.is_some(),
        row_weight: spec.row_weight.is_some(),
        rebalance: spec.rebalance.is_some(),
        norm: spec.weight_norm != WeightNorm::None,
        sides: sides.iter().any(|side| *side != 1.0),
        balance: spec.gradient_balance.is_some(),
        gate: spec.gate.is_some() && !given,
        gate_draws: !given && spec.gate.as_ref().is_some_and(|gate| gate.drop_threshold() < ALL_DRAWS),
        gate_given: given,
        suppression: spec.suppression.is_some(),
        draws: spec.suppression.as_ref().is_some_and(|term| term.source == DrawSource::Counter),
        weights_given: spec.given_weights,
        focal: spec.focal.is_some(),
        focal_square: spec.focal.is_some_and(|focal| focal.gamma == 2.0),
    }
}

/// Narrows a checked number; `check` has made sure that it is finite in f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the kernels compute in")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// The same of a product, which is held within f32.
fn held(value: f64) -> f32 {
    narrow(value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)))
}

/// The smallest f32 that is not below `value`.
fn not_below(value: f64) -> f32 {
    let near = narrow(value);
    if f64::from(near) < value { near.next_up() } else { near }
}

#[expect(clippy::cast_precision_loss, reason = "an f32 has fewer bits")]
fn of_count(count: u64) -> f64 {
    count as f64
}

fn flag(present: bool, bit: u32) -> u32 {
    if present { bit } else { 0 }
}

impl SigmoidNumbers {
    /// The numbers of a spec that has passed [`SigmoidLoss::check`], for a batch of `rows` rows and `classes` columns.
    pub(super) fn new(spec: &SigmoidLoss, rows: u64, classes: u64, row_weights: bool) -> Self {
        let inverse = |denominator: f64| if denominator > 0.0 { narrow(1.0 / denominator) } else { 0.0 };
        let (reduction, fixed_inverse) = match spec.reduction {
            // The sigmoid family's check refuses the weighted mean.
            Reduction::None | Reduction::Sum | Reduction::WeightedMean => (0, 1.0),
            Reduction::Mean => (0, inverse(of_count(rows))),
            Reduction::Elements => (0, inverse(of_count(rows) * of_count(classes))),
            Reduction::Fixed(denominator) => (0, inverse(denominator)),
            Reduction::MeanKept => (1, 0.0),
            Reduction::Positives => (2, 0.0),
        };
        let rebalance = spec.rebalance.as_ref();
        // Where the weight is largest: at the largest reciprocal count, or for beta below 0 at the smallest.
        let extreme = rebalance.and_then(|rebalance| {
            let counts = rebalance.counts.iter();
            if rebalance.beta >= 0.0 { counts.min() } else { counts.max() }.copied()
        });
        let largest = spec.class_weights.as_ref().map(|weights| weights.iter().copied().fold(0.0, f64::max));
        let (rule, of_none, beta, absent) = match &spec.row_weight {
            None | Some(RowWeight::Mean(_)) => (0, 1.0, 0.0, 0.0),
            Some(RowWeight::EffectiveOfMean { beta, .. }) => (1, 1.0, *beta, 0.0),
            Some(RowWeight::EffectiveOfMin { beta, absent, .. }) => {
                (2, effective_weight(*beta, *absent), *beta, *absent)
            }
        };
        let balance = spec.gradient_balance.as_ref();
        let gate = spec.gate.as_ref();
        let suppression = spec.suppression.as_ref();
        let seed = gate.map(|gate| gate.seed).or(suppression.map(|term| term.seed)).unwrap_or(0);
        let threshold = suppression.map_or(0.0, |term| (term.threshold / (1.0 - term.threshold)).ln());
        Self {
            reduction,
            fixed_inverse,
            scale: narrow(spec.scale),
            negative_scale: narrow(spec.negative_scale),
            inverse_negative_scale: narrow(1.0 / spec.negative_scale),
            positive_factor: narrow(spec.positive_factor),
            negative_factor: narrow(spec.negative_factor),
            focal_gamma: spec.focal.map_or(0.0, |focal| narrow(focal.gamma)),
            focal_change: spec.focal.filter(|focal| !focal.detached).map_or(0.0, |focal| narrow(focal.gamma)),
            rebalance_alpha: rebalance.map_or(0.0, |rebalance| narrow(rebalance.alpha)),
            rebalance_beta: rebalance.map_or(0.0, |rebalance| narrow(rebalance.beta)),
            rebalance_gamma: rebalance.map_or(0.0, |rebalance| narrow(rebalance.gamma)),
            rebalance_start: rebalance.map_or(0.0, |rebalance| held(rebalance.beta * rebalance.gamma)),
            extreme_inverse_count: extreme.map_or(1.0, |count| narrow(1.0 / of_count(count))),
            largest_weight: narrow(largest.unwrap_or(1.0)),
            weight_norm: match spec.weight_norm {
                WeightNorm::None => 0,
                WeightNorm::Row => 1,
                WeightNorm::Batch => 2,
            },
            row_weight_rule: rule,
            row_weight_of_none: narrow(of_none),
            one_minus_beta: narrow(1.0 - beta),
            // beta 0 leaves nothing of any power.
            minus_log_beta: if beta > 0.0 { narrow(-(beta - 1.0).ln_1p()) } else { f32::MAX },
            absent: narrow(absent),
            balance_gamma: balance.map_or(0.0, |balance| narrow(balance.gamma)),
            balance_mu: balance.map_or(0.0, |balance| narrow(balance.mu)),
            balance_alpha: balance.map_or(0.0, |balance| narrow(balance.alpha)),
            score_threshold: not_below(threshold),
            gate_source: match gate.map(|gate| gate.source) {
                Some(GateSource::Sample) => 1,
                Some(GateSource::Class) => 2,
                _ => 0,
            },
            drop_threshold: gate.map_or(0, |gate| gate.drop_threshold()),
            seed_low: (seed & 0xffff_ffff) as u32,
            seed_high: (seed >> 32) as u32,
            background_column: match spec.background {
                Some(Background::Column(column)) => i32::try_from(column).unwrap_or(i32::MAX),
                _ => -1,
            },
            background_label: match spec.background {
                Some(Background::Label(label)) => label,
                _ => 0,
            },
            ignore_index: spec.ignore_index.unwrap_or(0),
            flags: flag(row_weights, ROW_WEIGHTS)
                | flag(spec.ignore_index.is_some(), IGNORE_INDEX)
                | flag(matches!(spec.background, Some(Background::Column(_))), BACKGROUND_COLUMN)
                | flag(matches!(spec.background, Some(Background::Label(_))), BACKGROUND_LABEL),
        }
    }
}

/// The table of a range of classes, column after column. The accumulated gradients' weights are 1 here: the device
/// writes them from its sums.
pub(super) fn table(
    spec: &SigmoidLoss,
    terms: &SigmoidTerms,
    targets: TargetKind,
    classes: Range<usize>,
) -> Vec<f32> {
    let mut table = Vec::with_capacity(terms.columns().len() * classes.len());
    for column in terms.columns() {
        table.extend(classes.clone().map(|class| value(spec, column, targets, class)));
    }
    table
}

/// The groups in the order of their streams.
pub(super) const GROUPS: [Group; 3] = [Group::Few, Group::Medium, Group::Many];

fn value(spec: &SigmoidLoss, column: Column, targets: TargetKind, class: usize) -> f32 {
    let of = |values: &Option<Vec<f64>>, default: f64| {
        narrow(values.as_ref().and_then(|values| values.get(class)).copied().unwrap_or(default))
    };
    let count = |counts: &[u64]| of_count(counts.get(class).copied().unwrap_or(1));
    match column {
        // A class that is taken out has the lowest finite value: the kernels know no -inf of their own.
        Column::Bias => of(&spec.bias, 0.0).max(f32::MIN),
        Column::Margin => {
            let margin = spec.margin.as_ref().and_then(|margin| margin.columns.get(class));
            narrow(margin.copied().unwrap_or(0.0))
        }
        Column::Weight => of(&spec.class_weights, 1.0),
        Column::PositiveWeight => of(&spec.positive_weight, 1.0),
        Column::InverseCount => {
            narrow(1.0 / spec.rebalance.as_ref().map_or(1.0, |rebalance| count(&rebalance.counts)))
        }
        Column::Rho => narrow(match (&spec.row_weight, targets) {
            (None, _) => 1.0,
            (Some(RowWeight::Mean(weights)), _) => weights.get(class).copied().unwrap_or(1.0),
            // Of several positives the kernel makes the weight from the counts.
            (
                Some(RowWeight::EffectiveOfMean { counts, .. } | RowWeight::EffectiveOfMin { counts, .. }),
                TargetKind::MultiHot,
            ) => count(counts),
            (Some(RowWeight::EffectiveOfMean { counts, beta }), _) => effective_weight(*beta, count(counts)),
            (Some(RowWeight::EffectiveOfMin { counts, beta, absent }), _) => {
                let others = if counts.len() > 1 { *absent } else { f64::INFINITY };
                effective_weight(*beta, count(counts).min(others))
            }
        }),
        Column::Positive | Column::Negative => 1.0,
        Column::Tail => {
            let tail = spec.gate.as_ref().and_then(|gate| gate.tail.get(class)).copied();
            if tail.unwrap_or(false) { 1.0 } else { 0.0 }
        }
        Column::Group => {
            let group = spec.suppression.as_ref().and_then(|term| term.groups.get(class));
            let place = GROUPS.iter().position(|other| Some(other) == group).unwrap_or_default();
            [0.0, 1.0, 2.0].get(place).copied().unwrap_or(0.0)
        }
    }
}
