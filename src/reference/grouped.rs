//! The grouped family, row by row and segment by segment.

use super::shared::{check_upstream, finite_rows, inverse, log_share, row_weight, upstream_factor, usable};
use super::terms::weighted;
use super::tree::{Gates, tree_sampling};
use super::{argmax, log_sum_exp};
use crate::batch::{Batch, Targets, Upstream, length};
use crate::grouped::{GroupReduction, Layout};
use crate::random::{DrawSource, quota, sample_rows, step_key};
use crate::{GroupedLoss, Reduction, Result, TargetKind};

/// What a loss of the grouped family gives for one batch, in f64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupedOutput {
    /// The reduced loss, [`segment_loss`](Self::segment_loss) plus [`tree_loss`](Self::tree_loss). Upstream factors are
    /// not in it.
    pub loss: f64,
    /// The segments' part, reduced, with its weight.
    pub segment_loss: f64,
    /// Tree sampling's part, reduced, with its weight; 0 without.
    pub tree_loss: f64,
    /// `[N]`: each row's loss `L_n` with its weights, both parts, not divided by a denominator; 0 for ignored rows.
    pub row_loss: Vec<f64>,
    /// `[N, W]`: `d loss / d logits` times the upstream factor; the denominators are in it.
    pub gradient: Vec<f64>,
    /// `[N]`: the column of the largest raw logit, the lowest such column on ties; for ignored rows too.
    pub argmax: Vec<u32>,
    /// `[G]`: how many rows count in each segment (with given weights, their sum).
    pub segment_rows: Vec<f64>,
}

/// Loss, gradient and statistics of `batch` under `spec`, in f64 on the CPU. The batch's `classes` are the logits'
/// columns, W.
///
/// The gradient is multiplied by `upstream`; the loss is not. Where a weight is 0, its part is 0 even if the loss it
/// multiplies is infinite. A column that is masked by a `-inf` logit has probability 0; if it is a target, the row's loss
/// is +inf and its gradient still finite. A denominator of 0 (no rows, all rows ignored) gives loss 0, gradient 0.
/// Costs O(N W) time and memory, with a tree times its depth.
///
/// ```
/// use longtail::{Batch, GroupedLoss, Targets, Upstream, grouped::Taxonomy, reference};
///
/// // Labels 0 and 1 below node 1, label 2 below the root: columns [node 1, label 2 | label 0, label 1].
/// let tree = Taxonomy::from_parents(&[None, Some(0), Some(1), Some(1), Some(0)])?;
/// let batch = Batch::new(&[0.0; 4], 4, Targets::Hard(&[1]));
/// let output = reference::grouped(&GroupedLoss::hierarchical(&tree), &batch, Upstream::One)?;
/// assert!((output.loss - 4f64.ln()).abs() < 1e-15); // 1/2 at the root, 1/2 at node 1
/// assert_eq!(output.gradient, [-0.5, 0.5, 0.5, -0.5]);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// What [`GroupedLoss::check_batch`] reports; [`Error::Length`](crate::Error::Length) for an upstream gradient that is
/// not `[N]`; [`Error::NonFinite`](crate::Error::NonFinite) for rows, ignored ones included, with a NaN or +inf logit,
/// and for rows that count with a segment in which masks leave nothing.
pub fn grouped(spec: &GroupedLoss, batch: &Batch<'_, f64>, upstream: Upstream<'_>) -> Result<GroupedOutput> {
    spec.check_batch(batch)?;
    check_upstream(upstream, batch.rows())?;
    let layout = Layout::new(spec)?;
    let rows = batch.logits.chunks_exact(batch.classes);
    let rows: Vec<&[f64]> =
        finite_rows("logits", rows.map(|logits| usable(logits).then_some(logits)).collect())?;
    let labels = labels_of(spec, batch);
    let counts = counting(spec, batch, &layout, &labels);
    let segment_rows = column_sums(&counts, spec.segments.len());
    let gates = Gates::new(spec, batch);
    let parts = rows.iter().zip(&labels).zip(&counts).enumerate();
    let parts = parts
        .map(|(position, ((logits, label), counts))| match label {
            Some(label) => evaluate(spec, &layout, &gates, position, logits, *label, counts),
            None => Some(Row::empty(spec.segments.len(), logits.len())),
        })
        .collect();
    let parts: Vec<Row> = finite_rows("logits", parts)?;

    let kept = labels.iter().flatten().count() as f64;
    let pairs =
        labels.iter().flatten().map(|label| spec.targets_of(&layout, *label).iter().flatten().count());
    let pairs = pairs.sum::<usize>() as f64;
    // One factor for each segment's part, with the spec's weight, and one for the tree's.
    let by_segment: Vec<f64> = segment_rows
        .iter()
        .map(|rows| spec.weight * inverse(segment_denominator(spec, *rows, pairs, kept, rows_total(batch))))
        .collect();
    let by_tree = spec.tree.map_or(0.0, |tree| tree.weight) * inverse(kept);
    let mut output = GroupedOutput {
        loss: 0.0,
        segment_loss: 0.0,
        tree_loss: 0.0,
        row_loss: Vec::with_capacity(parts.len()),
        gradient: Vec::with_capacity(batch.logits.len()),
        argmax: rows.iter().map(|logits| index(argmax(logits))).collect(),
        segment_rows,
    };
    for (position, part) in parts.iter().enumerate() {
        let own = row_weight(batch, position);
        let factor = own * upstream_factor(upstream, position);
        let mut sum = weighted(spec.tree.map_or(0.0, |tree| tree.weight), part.tree_loss);
        for (loss, by_segment) in part.segment_losses.iter().zip(&by_segment) {
            sum += weighted(spec.weight, *loss);
            output.segment_loss += weighted(own, weighted(*by_segment, *loss));
        }
        output.tree_loss += weighted(own, weighted(by_tree, part.tree_loss));
        output.row_loss.push(weighted(own, sum));
        for (column, (slope, tree_slope)) in part.slope.iter().zip(&part.tree_slope).enumerate() {
            let segment = layout.segment_of.get(column).and_then(|segment| by_segment.get(*segment));
            let slope = weighted(segment.copied().unwrap_or(0.0), *slope) + weighted(by_tree, *tree_slope);
            output.gradient.push(weighted(factor, slope));
        }
    }
    output.loss = output.segment_loss + output.tree_loss;
    Ok(output)
}

/// Each label's probability, `[N, C]`: the product of the segments' softmax over the label's own columns.
///
/// For balanced group softmax `p(object) p_g(class)` and `p(background)` (Li et al. 2020, arXiv 2006.10408), for a tree
/// the probability of each leaf.
///
/// ```
/// use longtail::{GroupedLoss, reference};
/// // One class in one group: [background, object | others, class].
/// let loss = GroupedLoss::balanced_groups(&[vec![0]], 8.0, 0)?;
/// assert_eq!(reference::grouped_scores(&loss, &[0.0; 4])?, [0.5, 0.25]);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// What [`GroupedLoss::check`] reports, [`Error::Length`](crate::Error::Length) for logits that are no whole rows,
/// [`Error::NonFinite`](crate::Error::NonFinite) for rows with a NaN or +inf logit.
pub fn grouped_scores(spec: &GroupedLoss, logits: &[f64]) -> Result<Vec<f64>> {
    let rows = checked_rows(spec, logits)?;
    let layout = Layout::new(spec)?;
    let mut scores = Vec::with_capacity(rows.len() * spec.labels.len());
    for row in rows {
        let sums: Vec<f64> =
            (0..spec.segments.len()).map(|segment| segment_sum(&layout, row, segment)).collect();
        let log_score = |column: usize| {
            let sum = layout.segment_of.get(column).and_then(|segment| sums.get(*segment));
            log_share(row.get(column).copied().unwrap_or(f64::NEG_INFINITY), sum.copied().unwrap_or(0.0))
        };
        scores.extend(
            (0..spec.labels.len()).map(|label| spec.columns_of(label).map(log_score).sum::<f64>().exp()),
        );
    }
    Ok(scores)
}

/// The rows of `logits`, checked.
pub(super) fn checked_rows<'a>(spec: &GroupedLoss, logits: &'a [f64]) -> Result<Vec<&'a [f64]>> {
    let width = spec.columns();
    spec.check(width, TargetKind::Hard)?;
    length("logits", logits.len(), logits.len() / width.max(1) * width)?;
    let rows = logits.chunks_exact(width.max(1));
    finite_rows("logits", rows.map(|row| usable(row).then_some(row)).collect())
}

/// `logsumexp` of a segment's logits.
pub(super) fn segment_sum(layout: &Layout, logits: &[f64], segment: usize) -> f64 {
    log_sum_exp(logits.get(layout.span(segment)).unwrap_or_default())
}

fn index(position: Option<usize>) -> u32 {
    position.and_then(|position| u32::try_from(position).ok()).unwrap_or_default()
}

fn rows_total(batch: &Batch<'_, f64>) -> f64 {
    batch.rows() as f64
}

/// `[N]`: the labels; `None` for ignored rows.
fn labels_of(spec: &GroupedLoss, batch: &Batch<'_, f64>) -> Vec<Option<usize>> {
    let Targets::Hard(labels) = batch.targets else { return Vec::new() };
    let kept = labels.iter().map(|label| Some(*label).filter(|label| Some(*label) != spec.ignore_index));
    kept.map(|label| label.and_then(|label| usize::try_from(label).ok())).collect()
}

fn segment_denominator(spec: &GroupedLoss, rows: f64, pairs: f64, kept: f64, all: f64) -> f64 {
    match spec.reduction {
        GroupReduction::PerGroup => rows.max(1.0),
        GroupReduction::Pairs => pairs,
        GroupReduction::Rows(reduction) => match reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Mean => all,
            Reduction::Fixed(d) => d,
            // Means over elements and positives are refused by the check.
            _ => kept,
        },
    }
}

/// `[N]` of `[G]`: the weight `r_ng` of a row in a segment.
fn counting(
    spec: &GroupedLoss,
    batch: &Batch<'_, f64>,
    layout: &Layout,
    labels: &[Option<usize>],
) -> Vec<Vec<f64>> {
    let takes_part = |label: &Option<usize>| match label {
        Some(label) => {
            spec.targets_of(layout, *label).iter().map(|t| f64::from(u8::from(t.is_some()))).collect()
        }
        None => vec![0.0; spec.segments.len()],
    };
    let mut counts: Vec<Vec<f64>> = labels.iter().map(takes_part).collect();
    let Some(sampling) = &spec.sampling else { return counts };
    if sampling.source == DrawSource::Given {
        let given = batch.gates.unwrap_or_default().chunks_exact(spec.segments.len());
        for (row, given) in counts.iter_mut().zip(given) {
            row.iter_mut().zip(given).for_each(|(count, given)| *count *= f64::from(*given));
        }
        return counts;
    }
    let key = step_key(sampling.seed, sampling.step);
    for (segment, stream) in (0..spec.segments.len()).zip(0u32..) {
        if !spec.segments.get(segment).is_some_and(|part| part.sampled) {
            continue;
        }
        let own = |label: &Option<usize>| {
            let target = label.map(|label| spec.targets_of(layout, label));
            target.and_then(|targets| targets.get(segment).copied().flatten()).map(|(_, own)| own)
        };
        let own: Vec<Option<bool>> = labels.iter().map(own).collect();
        let positives = own.iter().filter(|own| **own == Some(true)).count();
        let others: Vec<u32> =
            (0u32..).zip(&own).filter(|(_, own)| **own == Some(false)).map(|(row, _)| row).collect();
        let drawn = sample_rows(key, stream, &others, quota(sampling.ratio, positives));
        for (row, (own, counts)) in (0u32..).zip(own.iter().zip(&mut counts)) {
            let left_out = *own == Some(false) && drawn.binary_search(&row).is_err();
            if let Some(count) = counts.get_mut(segment).filter(|_| left_out) {
                *count = 0.0;
            }
        }
    }
    counts
}

fn column_sums(rows: &[Vec<f64>], columns: usize) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    sums
}

/// One row's parts, without factors.
struct Row {
    /// `[G]`: `r_ng CE_ng`.
    segment_losses: Vec<f64>,
    /// `[W]`: their derivatives.
    slope: Vec<f64>,
    tree_loss: f64,
    /// `[W]`: its derivative.
    tree_slope: Vec<f64>,
}

impl Row {
    fn empty(segments: usize, width: usize) -> Self {
        Self {
            segment_losses: vec![0.0; segments],
            slope: vec![0.0; width],
            tree_loss: 0.0,
            tree_slope: vec![0.0; width],
        }
    }
}

/// `None` for a row that has no value.
fn evaluate(
    spec: &GroupedLoss,
    layout: &Layout,
    gates: &Gates<'_>,
    position: usize,
    logits: &[f64],
    label: usize,
    counts: &[f64],
) -> Option<Row> {
    let mut row = Row::empty(spec.segments.len(), logits.len());
    for (segment, target) in spec.targets_of(layout, label).into_iter().enumerate() {
        let Some((target, _)) = target else { continue };
        let count = counts.get(segment).copied().unwrap_or(0.0);
        if count == 0.0 {
            continue;
        }
        let all = segment_sum(layout, logits, segment);
        if !all.is_finite() {
            return None;
        }
        let span = layout.span(segment);
        let rest = 1.0 - (logits.get(target).copied()? - all).exp();
        for column in span.clone() {
            let q = (logits.get(column).copied()? - all).exp();
            let slope = if column == target { -rest_of(logits, span.clone(), target, all, rest) } else { q };
            *row.slope.get_mut(column)? = count * slope;
        }
        *row.segment_losses.get_mut(segment)? = count * (all - logits.get(target).copied()?);
    }
    if let Some(tree) = &spec.tree {
        let open = gates.open(spec, layout, position);
        let part = tree_sampling(spec, tree, layout, &open, logits, label)?;
        row.tree_loss = part.loss;
        row.tree_slope = part.slope;
    }
    Some(row)
}

/// `1 - q` of the target, from the mass of the others where it is small: no cancellation.
fn rest_of(logits: &[f64], span: std::ops::Range<usize>, target: usize, all: f64, rest: f64) -> f64 {
    if rest > 0.5 {
        return rest;
    }
    let others = span.filter(|column| *column != target).filter_map(|column| logits.get(column));
    others.map(|logit| (logit - all).exp()).sum()
}
