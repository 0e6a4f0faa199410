//! Trees of classes: leaves' scores under gates, stochastic tree sampling, and early exit at test time.

use super::grouped::{checked_rows, segment_sum};
use super::log_sum_exp;
use crate::batch::Batch;
use crate::classes::parameter;
use crate::grouped::{Layout, TreeSampling};
use crate::random::DrawSource;
use crate::{Error, GroupedLoss, Result};

/// The gates of all rows.
pub(super) struct Gates<'a> {
    /// `[N, G]`, where the batch brings them.
    given: &'a [f32],
}

impl<'a> Gates<'a> {
    pub(super) fn new(spec: &GroupedLoss, batch: &Batch<'a, f64>) -> Self {
        let given = spec.tree.is_some_and(|tree| tree.source == DrawSource::Given);
        Self { given: batch.gates.filter(|_| given).unwrap_or_default() }
    }

    /// `[G]`: whether each node's own gate is open in a row; the root's always is.
    pub(super) fn open(&self, spec: &GroupedLoss, layout: &Layout, position: usize) -> Vec<bool> {
        let row = self.given.chunks_exact(spec.segments.len().max(1)).nth(position).unwrap_or_default();
        let index = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let open = |segment: usize| match &spec.tree {
            Some(tree) if layout.above.get(segment).is_some_and(Option::is_some) => match tree.source {
                DrawSource::Given => row.get(segment).is_none_or(|gate| *gate != 0.0),
                DrawSource::Counter => tree.opens(index(position), index(segment)),
            },
            _ => true,
        };
        (0..spec.segments.len()).map(open).collect()
    }
}

/// The tree's loss of a row and its derivative by the logits.
pub(super) struct TreePart {
    pub(super) loss: f64,
    pub(super) slope: Vec<f64>,
}

/// `[G]`: whether a node and all nodes above it are open.
fn open_paths(layout: &Layout, open: &[bool]) -> Vec<bool> {
    let mut paths: Vec<bool> = Vec::with_capacity(open.len());
    for (own, above) in open.iter().zip(&layout.above) {
        // The node above comes before.
        let above = above.and_then(|above| paths.get(above)).copied().unwrap_or(true);
        paths.push(*own && above);
    }
    paths
}

/// `[C]`: `sum_{c on the path to k} open_segment(c) z_c` (Wu et al. 2020, arXiv 2007.09898).
fn scores(spec: &GroupedLoss, layout: &Layout, open: &[bool], logits: &[f64]) -> Vec<f64> {
    let paths = open_paths(layout, open);
    let counts = |column: &usize| {
        layout.segment_of.get(*column).and_then(|segment| paths.get(*segment)).copied().unwrap_or(false)
    };
    let score = |label: usize| {
        let columns = spec.columns_of(label).filter(counts);
        columns.filter_map(|column| logits.get(column)).sum()
    };
    (0..spec.labels.len()).map(score).collect()
}

/// Cross-entropy over the kept leaves. `None` where they are all masked.
pub(super) fn tree_sampling(
    spec: &GroupedLoss,
    tree: &TreeSampling,
    layout: &Layout,
    open: &[bool],
    logits: &[f64],
    label: usize,
) -> Option<TreePart> {
    let ceiling = tree.ceiling.unwrap_or(f64::INFINITY);
    let raw = scores(spec, layout, open, logits);
    let clipped: Vec<f64> = raw.iter().map(|score| score.min(ceiling)).collect();
    let kept: Vec<bool> = (0..raw.len()).map(|label| is_kept(spec, layout, open, label)).collect();
    let left: Vec<f64> =
        clipped.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(score, _)| *score).collect();
    let all = log_sum_exp(&left);
    if !all.is_finite() {
        return None;
    }
    let paths = open_paths(layout, open);
    let mut slope = vec![0.0; logits.len()];
    for (leaf, ((raw, score), kept)) in raw.iter().zip(&clipped).zip(&kept).enumerate() {
        let q = if *kept { (score - all).exp() } else { 0.0 };
        let by_score = q - if leaf == label { 1.0 } else { 0.0 };
        if by_score == 0.0 || *raw > ceiling {
            continue;
        }
        for column in spec.columns_of(leaf) {
            if layout.segment_of.get(column).and_then(|segment| paths.get(*segment)) == Some(&true) {
                *slope.get_mut(column)? += by_score;
            }
        }
    }
    Some(TreePart { loss: all - clipped.get(label).copied()?, slope })
}

/// Whether a leaf stands for itself and its like: it is the lowest label below every closed node above it.
fn is_kept(spec: &GroupedLoss, layout: &Layout, open: &[bool], label: usize) -> bool {
    spec.columns_of(label).all(|column| {
        let Some(&segment) = layout.segment_of.get(column) else { return true };
        let is_open = open.get(segment).copied().unwrap_or(true);
        is_open || layout.first_label.get(segment).copied().flatten() == Some(label)
    })
}

/// The leaves' scores `f_k` of every row under the given gates, `[N, C]`, not above the ceiling of the spec's tree
/// sampling. `gates`, `[N, G]`: 0 closes a node, the root's is not looked at; `None`: all are open.
///
/// Wu et al. 2020, arXiv 2007.09898.
///
/// # Errors
/// What [`GroupedLoss::check`] reports, [`Error::Missing`] without a tree, [`Error::Length`] for logits that are no whole
/// rows and for gates that are not `[N, G]`, [`Error::NonFinite`] for rows with a NaN or +inf logit.
pub fn leaf_scores(spec: &GroupedLoss, logits: &[f64], gates: Option<&[f32]>) -> Result<Vec<f64>> {
    let (layout, rows) = tree_rows(spec, logits)?;
    let segments = spec.segments.len();
    if let Some(gates) = gates {
        crate::batch::length("gates", gates.len(), rows.len().saturating_mul(segments))?;
    }
    let ceiling = spec.tree.and_then(|tree| tree.ceiling).unwrap_or(f64::INFINITY);
    let of_row = |(position, row): (usize, &&[f64])| {
        let gates =
            gates.and_then(|gates| gates.chunks_exact(segments.max(1)).nth(position)).unwrap_or_default();
        let open: Vec<bool> =
            (0..segments).map(|s| s == 0 || gates.get(s).is_none_or(|gate| *gate != 0.0)).collect();
        scores(spec, &layout, &open, row).into_iter().map(move |score| score.min(ceiling))
    };
    Ok(rows.iter().enumerate().flat_map(of_row).collect())
}

/// Where a row ends in a tree of classes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// The class, where the row gets to a leaf; `None` where it is rejected at an inner node.
    pub label: Option<u32>,
    /// The column that leads to where it ends; `None` for the root.
    pub column: Option<u32>,
    /// How many classes there are at or below.
    pub classes: usize,
    /// The score of the leaves there.
    pub score: f64,
}

impl Decision {
    /// Whether the class `label` is at or below the decision, in the tree of `spec`.
    pub fn covers(&self, spec: &GroupedLoss, label: u32) -> bool {
        let columns = usize::try_from(label).ok().and_then(|label| spec.labels.get(label));
        columns.is_some_and(|columns| self.column.is_none_or(|column| columns.contains(&column)))
    }

    /// Correctly predicted bits: how much a right decision says, `(C - R) / C` with `R` classes left open (0 at a leaf);
    /// 0 for a wrong one (Wu et al. 2020, arXiv 2007.09898).
    pub fn predicted_bits(&self, spec: &GroupedLoss, label: u32) -> f64 {
        let open = if self.classes == 1 { 0 } else { self.classes };
        let all = spec.labels.len().max(1);
        if self.covers(spec, label) { (all - open.min(all)) as f64 / all as f64 } else { 0.0 }
    }
}

/// Early exit at test time, `[N]`: a node is open where the largest probability among its children is at least
/// `threshold`, in `[0, 1]`, and the row ends at the leaf with the highest score, or at the topmost closed node above it
/// (the root too can be closed). With threshold 0 every row gets to a leaf.
///
/// The authors choose the threshold among 0, 0.1, ... 0.9 by the correctly predicted bits of a validation set
/// ([`Decision::predicted_bits`]). Wu et al. 2020, arXiv 2007.09898, and its code.
///
/// ```
/// use longtail::{GroupedLoss, grouped::Taxonomy, reference};
/// // Labels 0 and 1 below node 1, label 2 below the root: columns [node 1, label 2 | label 0, label 1].
/// let loss = GroupedLoss::hierarchical(&Taxonomy::from_parents(&[None, Some(0), Some(1), Some(1), Some(0)])?);
/// let decision = reference::early_exit(&loss, &[3.0, 0.0, 0.1, 0.0], 0.6)?[0];
/// assert_eq!((decision.label, decision.column, decision.classes), (None, Some(0), 2));
/// assert!(decision.covers(&loss, 1) && !decision.covers(&loss, 2));
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// Those of [`leaf_scores`], and [`Error::Parameter`] for the threshold.
pub fn early_exit(spec: &GroupedLoss, logits: &[f64], threshold: f64) -> Result<Vec<Decision>> {
    parameter("the threshold", threshold, (0.0..=1.0).contains(&threshold), "in [0, 1]")?;
    let (layout, rows) = tree_rows(spec, logits)?;
    Ok(rows.into_iter().map(|row| decide(spec, &layout, row, threshold)).collect())
}

fn decide(spec: &GroupedLoss, layout: &Layout, logits: &[f64], threshold: f64) -> Decision {
    let sure = |segment: usize| {
        let all = segment_sum(layout, logits, segment);
        let largest = logits.get(layout.span(segment)).unwrap_or_default().iter().copied();
        // Nothing but masks: nothing to be sure of.
        all.is_finite() && (largest.fold(f64::NEG_INFINITY, f64::max) - all).exp() >= threshold
    };
    let open: Vec<bool> = (0..spec.segments.len()).map(sure).collect();
    let scores = scores(spec, layout, &open, logits);
    let best = super::argmax(&scores).unwrap_or(0);
    let index = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
    let score = scores.get(best).copied().unwrap_or(f64::NEG_INFINITY);
    // The first closed node on the way down; the column before it leads there.
    let closed = |column: &usize| {
        layout.segment_of.get(*column).and_then(|segment| open.get(*segment)).is_some_and(|open| !open)
    };
    let path: Vec<usize> = spec.columns_of(best).collect();
    match path.iter().position(closed) {
        None => {
            Decision { label: Some(index(best)), column: path.last().copied().map(index), classes: 1, score }
        }
        Some(place) => {
            let column = place.checked_sub(1).and_then(|place| path.get(place)).copied().map(index);
            let below = spec.labels.iter().filter(|columns| column.is_none_or(|c| columns.contains(&c)));
            Decision { label: None, column, classes: below.count(), score }
        }
    }
}

/// The layout and the rows of a spec that has a tree.
fn tree_rows<'a>(spec: &GroupedLoss, logits: &'a [f64]) -> Result<(Layout, Vec<&'a [f64]>)> {
    let rows = checked_rows(spec, logits)?;
    let is_tree = spec.segments.iter().skip(1).all(|segment| segment.parent.is_some());
    match is_tree {
        true => Ok((Layout::new(spec)?, rows)),
        false => {
            Err(Error::Missing { what: "the segments' parents", needed_by: "scores of a tree's leaves" })
        }
    }
}
