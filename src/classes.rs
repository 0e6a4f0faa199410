//! Class statistics: how many training samples each class has, and what the losses derive from that.

mod groups;
mod profile;
mod weights;

pub use groups::Group;
pub use profile::Profile;
pub use weights::Normalisation;
pub(crate) use weights::effective_weight;

use crate::{Error, Result};

/// How many training samples each of the K classes has.
///
/// Counts are those of the training split as the loss sees it: with a re-sampler in front of the loss, the
/// counts after re-sampling. A class may have no sample; what a statistic then does is said with each of
/// them: a logarithm is `-inf` (the class leaves the softmax), a division is an error that names the class.
/// At least one class has a sample. All statistics are computed in f64.
///
/// ```
/// let counts = longtail::ClassCounts::new([90, 9, 1])?;
/// assert_eq!(counts.priors(), [0.9, 0.09, 0.01]);
/// assert_eq!(counts.imbalance_factor(), Some(90.0));
/// # Ok::<(), longtail::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Vec<u64>", into = "Vec<u64>"))]
pub struct ClassCounts {
    counts: Vec<u64>,
    total: u64,
    max: u64,
    min: u64,
}

impl ClassCounts {
    /// Counts by class index, `[K]`.
    ///
    /// # Errors
    /// [`Error::Statistics`] without a class, without a sample, or when the total exceeds `u64::MAX`.
    pub fn new(counts: impl Into<Vec<u64>>) -> Result<Self> {
        let counts = counts.into();
        let (Some(&max), Some(&min)) = (counts.iter().max(), counts.iter().min()) else {
            return Err(statistics("there is no class: give one count per class"));
        };
        if max == 0 {
            return Err(statistics("every class has count 0: count the labels of the training split first"));
        }
        let Some(total) = counts.iter().try_fold(0u64, |sum, &count| sum.checked_add(count)) else {
            return Err(statistics("the counts add up to more than 2^64 - 1: divide them all by one number"));
        };
        Ok(Self { counts, total, max, min })
    }

    /// Counts how often each of `0..classes` occurs in `labels`; labels equal to `ignore_index` are skipped.
    ///
    /// ```
    /// let counts = longtail::ClassCounts::from_labels(&[0, 2, 0, -100], 3, Some(-100))?;
    /// assert_eq!(counts.counts(), [2, 0, 1]);
    /// # Ok::<(), longtail::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Label`] for a label that is neither a class nor the ignored index, and those of
    /// [`new`](Self::new).
    pub fn from_labels(labels: &[i32], classes: usize, ignore_index: Option<i32>) -> Result<Self> {
        let mut counts = vec![0u64; classes];
        let mut bad = None;
        let mut bad_rows = 0u64;
        for (row, &label) in labels.iter().enumerate() {
            if Some(label) == ignore_index {
                continue;
            }
            match usize::try_from(label).ok().and_then(|class| counts.get_mut(class)) {
                Some(count) => *count += 1,
                None => {
                    bad_rows += 1;
                    bad.get_or_insert((row, label));
                }
            }
        }
        match bad {
            Some((row, label)) => {
                Err(Error::Label { row: row as u64, label: Some(i64::from(label)), classes, rows: bad_rows })
            }
            None => Self::new(counts),
        }
    }

    /// The counts by class index, `[K]`.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// K, at least 1.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// The number of samples, at least 1.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest class's count, at least 1.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The smallest class's count; 0 with an empty class.
    pub fn min(&self) -> u64 {
        self.min
    }

    /// `n_max / n_min`, the imbalance factor; `None` with an empty class.
    pub fn imbalance_factor(&self) -> Option<f64> {
        (self.min > 0).then(|| real(self.max) / real(self.min))
    }

    /// The class priors `pi_j = n_j / n`, `[K]`; they sum to 1, an empty class has 0.
    pub fn priors(&self) -> Vec<f64> {
        let total = real(self.total);
        self.map(|count| count / total)
    }

    /// `log n_j`, `[K]`; `-inf` for an empty class.
    pub fn log_counts(&self) -> Vec<f64> {
        self.map(f64::ln)
    }

    /// `log(pi_j + eps)`, `[K]`. `eps` is finite and at least 0 (PriorCE and SADE: 1e-9); with 0 an empty
    /// class gets `-inf`. A negative or undefined `eps` gives NaN where it leaves the logarithm's domain,
    /// which every loss refuses.
    pub fn log_priors(&self, eps: f64) -> Vec<f64> {
        let total = real(self.total);
        self.map(|count| (count / total + eps).ln())
    }

    /// `log(pi_r(j) + eps)`, `[K]`, where `r` reverses the ranks: the largest class gets the prior of the
    /// smallest, the second largest that of the second smallest, and so on (SADE's inverse prior).
    /// `eps` as in [`log_priors`](Self::log_priors).
    ///
    /// Classes with equal counts are ranked by index, the lower index as the smaller class. SADE's code leaves
    /// that order to `torch.sort`, which does not define it: with ties, values may differ from a run of
    /// theirs by a permutation among the tied classes.
    pub fn reversed_log_priors(&self, eps: f64) -> Vec<f64> {
        let mut order: Vec<(u64, usize)> = self.counts.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let total = real(self.total);
        let mut reversed: Vec<(usize, f64)> = order
            .iter()
            .zip(order.iter().rev())
            .map(|(&(_, class), &(count, _))| (class, (real(count) / total + eps).ln()))
            .collect();
        reversed.sort_unstable_by_key(|&(class, _)| class);
        reversed.into_iter().map(|(_, value)| value).collect()
    }

    /// `f(n_j)` for every class.
    fn map(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        self.counts.iter().map(|&count| f(real(count))).collect()
    }

    /// An error naming the first empty class, for `what` divides by its count.
    pub(crate) fn require_samples(&self, what: &str) -> Result<()> {
        match self.counts.iter().position(|&count| count == 0) {
            None => Ok(()),
            class => Err(Error::Statistics {
                class,
                reason: format!(
                    "it has count 0, and {what} divides by the count: drop the class, merge it into another, \
                     or count it as 1"
                ),
            }),
        }
    }
}

impl TryFrom<Vec<u64>> for ClassCounts {
    type Error = Error;

    fn try_from(counts: Vec<u64>) -> Result<Self> {
        Self::new(counts)
    }
}

impl From<ClassCounts> for Vec<u64> {
    fn from(counts: ClassCounts) -> Self {
        counts.counts
    }
}

/// Exact below 2^53, rounded to 53 bits above.
fn real(count: u64) -> f64 {
    count as f64
}

fn statistics(reason: &str) -> Error {
    Error::Statistics { class: None, reason: reason.into() }
}

/// Checks a parameter before it enters a column, so that the error names it.
pub(crate) fn parameter(name: &'static str, value: f64, ok: bool, expected: &'static str) -> Result<()> {
    match ok && value.is_finite() {
        true => Ok(()),
        false => Err(Error::Parameter { name, value, expected }),
    }
}
