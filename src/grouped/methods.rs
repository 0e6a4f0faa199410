//! The papers' methods: one constructor each, which fills the parts of [`GroupedLoss`].

use super::{GroupReduction, GroupedLoss, OthersSampling, Segment, Taxonomy, TreeSampling};
use crate::check::structure;
use crate::classes::parameter;
use crate::random::DrawSource;
use crate::{ClassCounts, Error, Reduction, Result};

/// Groups of classes by count.
impl ClassCounts {
    /// The classes of each bin of counts: below the first bound, from there to below the second, and so on; one more
    /// bin than bounds, some perhaps empty. `bounds` are ascending; balanced group softmax has 10, 100, 1000.
    ///
    /// ```
    /// let counts = longtail::ClassCounts::new([5000, 10, 9])?;
    /// assert_eq!(counts.bins(&[10, 100, 1000])?, [vec![2], vec![1], vec![], vec![0]]);
    /// # Ok::<(), longtail::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Parameter`] for bounds that are not ascending.
    pub fn bins(&self, bounds: &[u64]) -> Result<Vec<Vec<u32>>> {
        if let Some(pair) = bounds.windows(2).find(|pair| pair.first() >= pair.last()) {
            let value = pair.last().copied().unwrap_or(0) as f64;
            return Err(Error::Parameter { name: "a bin's bound", value, expected: "above the one before" });
        }
        let mut bins = vec![Vec::new(); bounds.len() + 1];
        for (class, count) in (0u32..).zip(self.counts()) {
            if let Some(bin) = bins.get_mut(bounds.partition_point(|bound| bound <= count)) {
                bin.push(class);
            }
        }
        Ok(bins)
    }
}

/// One softmax, balanced groups, trees.
impl GroupedLoss {
    /// One segment with every class: softmax cross-entropy.
    ///
    /// ```text
    /// L_n = logsumexp(z) - z_y ,   mean over the kept rows
    /// ```
    /// `classes`: K, at least 1. For comparison, and to build on; [`SoftmaxLoss`](crate::SoftmaxLoss) has more terms.
    pub fn one_group(classes: u32) -> Self {
        let labels = (0..classes).map(|class| vec![class]).collect();
        Self { segments: vec![Segment::new(classes)], labels, ..Self::default() }
    }

    /// Balanced group softmax, with the columns of the authors' code.
    ///
    /// ```text
    /// L = sum_g [ sum_n r_ng CE_ng / max(sum_n r_ng, 1) ]
    /// columns: [ background, object | others, classes of group 1 | others, classes of group 2 | ... ]
    /// ```
    /// `groups`: the classes `0..K` of each group, as of [`ClassCounts::bins`] with the bounds 10, 100, 1000 of the paper,
    /// on the number of instances. A group may be empty. Labels are 0 for background and `k + 1` for class `k`. In the
    /// first segment every row counts; in a group all rows of its classes and, for each of them, `ratio` rows of others,
    /// drawn anew in every step ([`OthersSampling`]); a group without a row in the batch does not count. `ratio`: finite,
    /// at least 0; the paper 8. `seed`: of the draws; advance them with [`with_step`](Self::with_step) once per step.
    ///
    /// At test time ([`reference::grouped_scores`](crate::reference::grouped_scores)) a class's score is
    /// `p(object) p_g(class)`, that of background `p(background)`; they are not normalised again.
    ///
    /// Paper: Li et al. 2020, arXiv 2006.10408.
    /// Cost: 8 to 12 bytes per f32 logit as for one softmax, the labels' columns and one number per row and segment.
    ///
    /// # Errors
    /// [`Error::Structure`] for a class in no group or in two, [`Error::Parameter`] for the ratio.
    pub fn balanced_groups(groups: &[Vec<u32>], ratio: f64, seed: u64) -> Result<Self> {
        let mut loss = Self::of_groups(groups, 2, ratio, seed)?;
        loss.segments.insert(0, Segment::new(2));
        // Class k is an object, column 1, and one of its group.
        let classes = loss.labels.into_iter().map(|columns| [1].into_iter().chain(columns).collect());
        loss.labels = std::iter::once(vec![0]).chain(classes).collect();
        Ok(loss)
    }

    /// Balanced group softmax with the columns of equalization v2's repository.
    ///
    /// ```text
    /// columns: [ others, classes of group 1 | others, classes of group 2 | ... | object, background ]
    /// ```
    /// Labels are `k` for class `k` and `K` for background. Everything else is [`balanced_groups`](Self::balanced_groups).
    ///
    /// Source: the code of Tan et al. 2021, arXiv 2012.08548; the loss: Li et al. 2020, arXiv 2006.10408.
    ///
    /// # Errors
    /// Those of [`balanced_groups`](Self::balanced_groups).
    pub fn balanced_groups_v2(groups: &[Vec<u32>], ratio: f64, seed: u64) -> Result<Self> {
        let mut loss = Self::of_groups(groups, 0, ratio, seed)?;
        let object = u32::try_from(loss.columns()).unwrap_or(u32::MAX - 1);
        loss.segments.push(Segment::new(2));
        loss.labels.iter_mut().for_each(|columns| columns.push(object));
        loss.labels.push(vec![object + 1]);
        Ok(loss)
    }

    /// The groups' segments from column `first` on, and each class's column.
    fn of_groups(groups: &[Vec<u32>], first: u32, ratio: f64, seed: u64) -> Result<Self> {
        parameter("the ratio of others", ratio, ratio >= 0.0, "finite and at least 0")?;
        let classes = groups.iter().map(Vec::len).sum();
        let mut labels = vec![Vec::new(); classes];
        let mut segments = Vec::new();
        let mut column = first;
        for group in groups {
            // The first column is the others'.
            for (&class, own) in group.iter().zip(column.saturating_add(1)..) {
                let class = usize::try_from(class).unwrap_or(usize::MAX);
                match labels.get_mut(class) {
                    Some(columns) if columns.is_empty() => columns.push(own),
                    Some(_) => {
                        return structure("class", Some(class), "it is in two groups, or twice in one");
                    }
                    None => return structure("class", Some(class), "a class before it is in no group"),
                }
            }
            let columns = u32::try_from(group.len()).unwrap_or(u32::MAX).saturating_add(1);
            segments.push(Segment::new(columns).with_others(true));
            column = column.saturating_add(columns);
        }
        // As many places as classes, none taken twice: every class has its own.
        let sampling = OthersSampling { ratio, source: DrawSource::Counter, seed, step: 0 };
        let reduction = GroupReduction::PerGroup;
        Ok(Self { segments, labels, sampling: Some(sampling), reduction, ..Self::default() })
    }

    /// Hierarchical softmax: the probability of a leaf is the product along its path.
    ///
    /// ```text
    /// L_n = -log p(y) = sum_{nodes g on the path to y} CE_ng ,   mean over N
    /// ```
    /// The logits are those of the nodes' children, `[N, W]` ([`Taxonomy::columns`]); labels are the leaves.
    ///
    /// Source: Goodman 2001, arXiv cs/0108006; Morin and Bengio 2005 (AISTATS).
    /// Cost: each logit is read once; those of the segments on the path once more, and only they have a gradient other than 0.
    pub fn hierarchical(taxonomy: &Taxonomy) -> Self {
        let (segments, labels) = taxonomy.layout();
        Self { segments, labels, reduction: GroupReduction::Rows(Reduction::Mean), ..Self::default() }
    }

    /// Deep-RTC, the realistic taxonomic classifier.
    ///
    /// ```text
    /// L = NCL + STS ,   NCL = mean over rows and nodes on their path of CE_ng
    /// STS = mean_n [ log sum_{k kept} e^{f_k} - f_y ] ,   f_k = min(sum_{c on the path to k} open_n,segment(c) z_c, 10)
    /// ```
    /// `drop_probability`: with which a node is closed in a step, in `[0, 1]`; the code's default 0.2, its CIFAR-100
    /// configuration 0.1. `seed`: of the draws; advance them with [`with_step`](Self::with_step) once per step. Logits and
    /// labels as for [`hierarchical`](Self::hierarchical); [`TreeSampling`] says what is drawn and kept.
    ///
    /// At test time the classifier goes down while it is sure and may stop at an inner node
    /// ([`reference::early_exit`](crate::reference::early_exit)).
    ///
    /// Deviations: the code sums exponentials without a shift and limits the sum to `[1e-17, 1e17]`, which shows only
    /// where every score is below -39.
    ///
    /// Paper: Wu et al. 2020, arXiv 2007.09898.
    /// Cost: the row is read once for the nodes' softmax and the leaves' scores, and once for the gradient.
    ///
    /// # Errors
    /// [`Error::Parameter`] for the probability.
    pub fn realistic_taxonomic(taxonomy: &Taxonomy, drop_probability: f64, seed: u64) -> Result<Self> {
        let in_range = (0.0..=1.0).contains(&drop_probability);
        parameter("drop_probability", drop_probability, in_range, "in [0, 1]")?;
        let tree = TreeSampling {
            weight: 1.0,
            drop_probability,
            ceiling: Some(10.0),
            source: DrawSource::Counter,
            seed,
            step: 0,
        };
        let loss = Self::hierarchical(taxonomy).with_reduction(GroupReduction::Pairs);
        Ok(loss.with_tree(Some(tree)))
    }
}
