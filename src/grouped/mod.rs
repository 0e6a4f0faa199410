//! The grouped family as plain data: a softmax for each of several segments of a row.
//!
//! [`GroupedLoss`] is the normal form; [`terms`](self) holds its parts, [`Taxonomy`] a tree of classes; the papers'
//! methods are the named constructors on [`GroupedLoss`].
//!
//! # What each method needs
//! | constructor | fixed data | per row | per batch | divided by |
//! |---|---|---|---|---|
//! | [`balanced_groups`](GroupedLoss::balanced_groups), [`balanced_groups_v2`](GroupedLoss::balanced_groups_v2) | segments, two columns for each label | a log-sum-exp for each segment; in which it counts | for each segment the rows of its own classes, the drawn others, the rows that count | the rows that count in the segment, at least 1 |
//! | [`hierarchical`](GroupedLoss::hierarchical) | segments, a path for each label | a log-sum-exp for each segment on the path | | N |
//! | [`realistic_taxonomic`](GroupedLoss::realistic_taxonomic) | the same, each node's parent column and lowest label | the same; a gate for each node, the leaves' scores and their log-sum-exp; the gradient of a column sums over the leaves below | rows and nodes on their paths | pairs of row and node; rows |
//!
//! Plans, sessions and contexts take a [`GroupedLoss`] as they take a softmax loss; [`gpu::grouped`](crate::gpu::grouped)
//! says what that costs and what it is limited to. Scores and early exit at test time are on the CPU
//! ([`reference`](mod@crate::reference)).

mod check;
mod layout;
mod methods;
mod taxonomy;
mod terms;

pub(crate) use layout::Layout;
pub use taxonomy::{Child, Taxonomy};
pub use terms::{GroupReduction, OthersSampling, Segment, TreeSampling};

/// A loss of the grouped family: what to compute, with every number in it and nothing about how.
///
/// Made by a named constructor ([`balanced_groups`](Self::balanced_groups), [`hierarchical`](Self::hierarchical),
/// [`realistic_taxonomic`](Self::realistic_taxonomic), ...) and changed by `with_` methods or directly: every field is
/// public, and any combination of terms is exact unless [`check`](Self::check) says why it has no meaning.
///
/// The logits of a row, `[N, W]`, are cut into G segments. A label has columns in some of them; in others the first
/// column may stand for it ([`Segment::others`]); in the rest it takes no part.
/// ```text
/// CE_ng = logsumexp of segment g of z_n - z_n,target(y,g)
/// L_n   = w_n [ weight sum_g r_ng CE_ng + tree.weight STS_n ]
/// dL_n / dz_nc = w_n [ weight r_ng (softmax_g(z_n)_c - [c = target(y, g)])
///                      + tree.weight open_ng sum_{k below c} [f_k <= ceiling] (q_k [k kept] - [k = y]) ]
/// ```
/// with `r_ng` 1 for rows that count in the segment ([`OthersSampling`]), else 0, and `q = softmax` over the kept leaves
/// ([`TreeSampling`]). The two terms have denominators of their own ([`GroupReduction`]; the mean over the kept rows).
/// `w_n` is the batch's row weight and enters no denominator. `-inf` masks a column.
///
/// What a pass over a row needs besides its logits and label: the segments' bounds, `[G]`; the labels' columns, at most
/// the tree's depth for each; for sampled segments the drawn rows and the number of rows that count, `[G]`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GroupedLoss {
    /// `[G]`: the segments, in the order of their columns.
    pub segments: Vec<Segment>,
    /// `[C]`: each label's columns, ascending, at most one in a segment and at least one in all.
    pub labels: Vec<Vec<u32>>,
    /// Multiplies the segments' cross-entropies. Finite, at least 0. Default 1.
    pub weight: f64,
    /// How rows of others are thinned out in sampled segments. Absent: no segment is sampled.
    pub sampling: Option<OthersSampling>,
    /// Stochastic tree sampling. Absent: none.
    pub tree: Option<TreeSampling>,
    /// The label of rows that do not count. Default `Some(-100)`.
    pub ignore_index: Option<i32>,
    /// How the segments' cross-entropies become one number. Default: the mean over the kept rows.
    pub reduction: GroupReduction,
}

impl Default for GroupedLoss {
    /// No segment and no label yet, which [`check`](Self::check) refuses; for setting every field by hand.
    fn default() -> Self {
        Self {
            segments: Vec::new(),
            labels: Vec::new(),
            weight: 1.0,
            sampling: None,
            tree: None,
            ignore_index: Some(-100),
            reduction: GroupReduction::default(),
        }
    }
}

/// Changes that go with every method.
impl GroupedLoss {
    /// Sets the factor of the segments' cross-entropies.
    #[must_use]
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Sets how rows of others are thinned out.
    #[must_use]
    pub fn with_sampling(mut self, sampling: Option<OthersSampling>) -> Self {
        self.sampling = sampling;
        self
    }

    /// Sets stochastic tree sampling.
    #[must_use]
    pub fn with_tree(mut self, tree: Option<TreeSampling>) -> Self {
        self.tree = tree;
        self
    }

    /// Sets the label of rows that do not count; `None`: every row counts.
    #[must_use]
    pub fn with_ignore_index(mut self, index: Option<i32>) -> Self {
        self.ignore_index = index;
        self
    }

    /// Sets the reduction of the segments' cross-entropies.
    #[must_use]
    pub fn with_reduction(mut self, reduction: GroupReduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Sets the step of the generator behind drawn rows and gates; nothing without them.
    #[must_use]
    pub fn with_step(mut self, step: u64) -> Self {
        if let Some(sampling) = &mut self.sampling {
            sampling.step = step;
        }
        if let Some(tree) = &mut self.tree {
            tree.step = step;
        }
        self
    }

    /// W, how many columns a row of logits has.
    pub fn columns(&self) -> usize {
        let columns =
            self.segments.iter().map(|segment| usize::try_from(segment.columns).unwrap_or(usize::MAX));
        columns.fold(0, usize::saturating_add)
    }
}
