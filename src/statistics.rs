//! Statistics that a loss carries from batch to batch: plain data, to read, to save and to merge.

use crate::batch::length;
use crate::{Error, Result};

/// Sums of absolute gradients by class, of positives and of negatives (Tan et al. 2021, arXiv 2012.08548).
///
/// For a batch: `positive_j = sum_n t_nj |dL_n / dz_nj|` and `negative_j = sum_n (1 - t_nj) |dL_n / dz_nj|`, with all
/// weights and without the reduction's denominator. Sums of disjoint batches, or of the replicas' parts of one batch,
/// [add up](Self::add).
///
/// ```
/// use longtail::statistics::GradientSums;
/// let mut sums = GradientSums::new(2);
/// sums.add(&GradientSums { positive: vec![0.5, 0.0], negative: vec![0.25, 1.0] })?;
/// assert_eq!(sums.positive, [0.5, 0.0]);
/// # Ok::<(), longtail::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GradientSums {
    /// `[K]`: finite, at least 0.
    pub positive: Vec<f64>,
    /// `[K]`: finite, at least 0.
    pub negative: Vec<f64>,
}

impl GradientSums {
    /// Nothing accumulated yet.
    pub fn new(classes: usize) -> Self {
        Self { positive: vec![0.0; classes], negative: vec![0.0; classes] }
    }

    /// Adds the sums of another batch, or of another replica's part of this one.
    ///
    /// # Errors
    /// [`Error::Length`] for another number of classes; nothing is added then.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        length("positive gradient sums", other.positive.len(), self.positive.len())?;
        length("negative gradient sums", other.negative.len(), self.negative.len())?;
        let columns = [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)];
        for (sums, others) in columns {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
        Ok(())
    }
}

/// Cumulative class counts of several replicas that started a step from the same `before`, each of which added its own
/// part of the batch: `before_j + sum_r (after_rj - before_j)`. For seesaw's counts.
///
/// ```
/// use longtail::statistics::merge_counts;
/// assert_eq!(merge_counts(&[10, 1], &[&[12, 1], &[11, 4]])?, [13, 4]);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] for another number of classes; [`Error::Statistics`] where a count went down or the sum exceeds
/// 64 bits.
pub fn merge_counts(before: &[u64], after: &[&[u64]]) -> Result<Vec<u64>> {
    after.iter().try_for_each(|counts| length("a replica's counts", counts.len(), before.len()))?;
    let merged = |(class, &start): (usize, &u64)| {
        let wrong = |reason: &str| Error::Statistics { class: Some(class), reason: reason.into() };
        let mut added = after.iter().filter_map(|counts| counts.get(class));
        added.try_fold(start, |sum, &count| {
            let own = count.checked_sub(start).ok_or_else(|| wrong("a replica's count went down"))?;
            sum.checked_add(own)
                .ok_or_else(|| wrong("the counts exceed 64 bits: divide them all by one number"))
        })
    };
    before.iter().enumerate().map(merged).collect()
}
