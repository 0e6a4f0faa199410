//! The grouped family's rows. Counts become groups by the bounds of balanced group softmax, and a tree of two levels.

use super::Method;
use crate::grouped::Taxonomy;
use crate::{ClassCounts, GroupedLoss, Result, TargetKind};

/// The bounds of balanced group softmax.
const BOUNDS: [u64; 3] = [10, 100, 1000];

/// The groups that have a class, below a root.
fn tree(counts: &ClassCounts) -> Result<Taxonomy> {
    let groups: Vec<Vec<u32>> = counts.bins(&BOUNDS)?.into_iter().filter(|group| !group.is_empty()).collect();
    Taxonomy::two_levels(&groups)
}

/// Every method of the grouped family, each named variant in a row of its own, with the authors' defaults. How wide the
/// logits are says [`GroupedLoss::columns`]; the number of labels is that of [`GroupedLoss::labels`].
pub const GROUPED: &[Method<GroupedLoss>] = &[
    Method {
        name: "balanced_groups",
        title: "Balanced group softmax",
        formula: "sum_g CE_g over groups by count, each with others (8 for each of its own) and its own mean",
        paper: "Li et al. 2020, arXiv 2006.10408",
        terms: "others, sampling",
        targets: TargetKind::Hard,
        golden: &["bags"],
        build: |counts| GroupedLoss::balanced_groups(&counts.bins(&BOUNDS)?, 8.0, 0),
    },
    Method {
        name: "balanced_groups_v2",
        title: "Balanced group softmax (columns of equalization v2's code)",
        formula: "balanced group softmax with background in the last group",
        paper: "code of Tan et al. 2021, arXiv 2012.08548",
        terms: "others, sampling",
        targets: TargetKind::Hard,
        golden: &["group_softmax_v2"],
        build: |counts| GroupedLoss::balanced_groups_v2(&counts.bins(&BOUNDS)?, 8.0, 0),
    },
    Method {
        name: "hierarchical_softmax",
        title: "Hierarchical softmax",
        formula: "sum of CE_g over the nodes on the path to y",
        paper: "Morin and Bengio 2005 (AISTATS)",
        terms: "parents",
        targets: TargetKind::Hard,
        golden: &[],
        build: |counts| Ok(GroupedLoss::hierarchical(&tree(counts)?)),
    },
    Method {
        name: "realistic_taxonomic",
        title: "Realistic taxonomic classifier (Deep-RTC)",
        formula: "mean over nodes of CE_g, plus CE over the leaves' scores in a randomly pruned tree",
        paper: "Wu et al. 2020, arXiv 2007.09898",
        terms: "parents, tree sampling",
        targets: TargetKind::Hard,
        golden: &["deep_rtc"],
        build: |counts| GroupedLoss::realistic_taxonomic(&tree(counts)?, 0.2, 0),
    },
];
