//! The parts of a grouped loss: segments of a row, and the terms that draw rows or nodes.

use crate::Reduction;
use crate::random::DrawSource;

/// A run of neighbouring columns with a softmax of its own: a group of classes, or the children of a tree's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Segment {
    /// How many columns it has, at least 1.
    pub columns: u32,
    /// Whether its first column stands for every label that has no column of its own in it. Without, rows of such
    /// labels take no part in the segment.
    pub others: bool,
    /// Whether rows whose target is the `others` column are thinned out ([`OthersSampling`]).
    pub sampled: bool,
    /// In a tree: the column that leads to this node, in a segment before it. `None` for the root, and without a tree.
    pub parent: Option<u32>,
}

impl Segment {
    /// A plain softmax over `columns` columns.
    pub fn new(columns: u32) -> Self {
        Self { columns, others: false, sampled: false, parent: None }
    }

    /// Makes the first column stand for all labels without one of their own, thinned out or not.
    #[must_use]
    pub fn with_others(mut self, sampled: bool) -> Self {
        self.others = true;
        self.sampled = sampled;
        self
    }

    /// Makes it the node that a column of an earlier segment leads to.
    #[must_use]
    pub fn with_parent(mut self, column: Option<u32>) -> Self {
        self.parent = column;
        self
    }
}

/// Which rows of "others" count in a sampled segment (Li et al. 2020, arXiv 2006.10408, and its code).
///
/// With `P` rows in the batch whose label has a column of its own in the segment, those and `int(ratio P)` of the other
/// rows count, [drawn without replacement](crate::random::sample_rows) with the segment's number as the stream, or all
/// others if there are no more. With `P = 0` no row counts.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OthersSampling {
    /// Others for each positive. Finite, at least 0. The paper and its code: 8.
    pub ratio: f64,
    /// Whether the rows are drawn here, or the batch's gates, `[N, G]`, are the weights of every row and segment
    /// (finite, at least 0; sampled or not).
    pub source: DrawSource,
    /// The generator's seed.
    pub seed: u64,
    /// The generator's step.
    pub step: u64,
}

/// Stochastic tree sampling (Wu et al. 2020, arXiv 2007.09898): cross-entropy over the leaves of a randomly pruned tree.
///
/// ```text
/// f_k = min( sum_{c on the path to k} open_n,segment(c) z_c , ceiling )
/// STS_n = log sum_{k kept} e^{f_k} - f_y
/// ```
/// A node is open where its own gate and those of all nodes above are; the root always is. Below the topmost closed
/// node all leaves have one score, and only the lowest label is kept to stand for them. The gradient ends at the ceiling.
/// The loss's mean is over the kept rows.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TreeSampling {
    /// Multiplies this term. Finite, at least 0. The authors' configurations: 1.
    pub weight: f64,
    /// The probability that a node's gate is closed for a row, in `[0, 1]`, in steps of 2^-24.
    pub drop_probability: f64,
    /// What a leaf's score is at most. `None`: nothing. The authors' code: 10.
    pub ceiling: Option<f64>,
    /// Whether gates are drawn here, by row and segment, or the batch brings them, `[N, G]`: 0 closes.
    pub source: DrawSource,
    /// The generator's seed.
    pub seed: u64,
    /// The generator's step.
    pub step: u64,
}

impl TreeSampling {
    /// Whether the gate of a segment other than the root is open for a row, as drawn.
    pub fn opens(&self, row: u32, segment: u32) -> bool {
        let key = crate::random::step_key(self.seed, self.step);
        crate::random::draw_24(key, row, segment) >= crate::random::threshold_24(self.drop_probability)
    }
}

/// How the cross-entropies of rows and segments become one number; the tree's term has its own mean.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum GroupReduction {
    /// `sum_g [ sum_n w_ng CE_ng / max(sum_n w_ng, 1) ]`: every segment has the mean over the rows that count in it.
    PerGroup,
    /// `sum_ng CE_ng` over the number of pairs of a kept row and a segment that it takes part in.
    Pairs,
    /// The row's sum over segments, reduced over rows; the weighted mean is that over the kept rows.
    Rows(Reduction),
}

impl Default for GroupReduction {
    /// The mean over the kept rows.
    fn default() -> Self {
        GroupReduction::Rows(Reduction::MeanKept)
    }
}
