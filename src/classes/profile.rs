//! Made-up long tails: class counts by a rule.

use super::{ClassCounts, parameter, real};
use crate::{Error, Result};

/// A rule for class counts, the largest class first; `x = j / (K - 1)` runs from 0 to 1 over the classes.
///
/// Every rule starts at `n_max` and ends at `n_max / imbalance`; counts are rounded down (whole numbers that
/// floating point misses by a relative 1e-9 are kept). Name the rule in a report: the same imbalance means
/// different numbers of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Profile {
    /// `n_j = n_max imbalance^-x`: the CIFAR-LT splits of LDAM's code (Cao et al. 2019, arXiv 1906.07413).
    /// The default.
    #[default]
    Exponential,
    /// The first `K / 2` classes (rounded down) have `n_max`, the others `n_max / imbalance`: LDAM's step
    /// imbalance. For odd K their code makes one class less; here the extra class is a tail class.
    Step,
    /// `n_j = n_max (1 + c x)^-7`, with `c` such that the last class has `n_max / imbalance`: the density of a
    /// Pareto law with the shape 6 that ImageNet-LT (Liu et al. 2019, arXiv 1904.05160) is said to follow.
    /// It is not the ImageNet-LT split itself, whose counts come with its file lists.
    Pareto,
    /// `n_j = n_max (j + 1)^-s` with `s = log imbalance / log K`: vocabularies. `imbalance = K` is Zipf's
    /// law proper.
    Zipf,
}

/// The Pareto density's exponent: its shape plus 1.
const PARETO_EXPONENT: f64 = 7.0;

impl Profile {
    /// The counts for `classes` classes.
    ///
    /// ```
    /// // The CIFAR-10-LT split with imbalance 100.
    /// let counts = longtail::Profile::Exponential.counts(10, 5000, 100.0)?;
    /// assert_eq!(counts.counts(), [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]);
    /// # Ok::<(), longtail::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Parameter`] when the imbalance is not a number of at least 1, or exceeds `n_max` (a class
    /// would be empty); [`Error::Statistics`] for no class or `n_max` 0.
    pub fn counts(self, classes: usize, n_max: u64, imbalance: f64) -> Result<ClassCounts> {
        parameter("the imbalance", imbalance, imbalance >= 1.0, "finite and at least 1")?;
        if n_max > 0 && imbalance > real(n_max) {
            return Err(Error::Parameter {
                name: "the imbalance",
                value: imbalance,
                expected: "at most n_max, or the smallest class is empty",
            });
        }
        let last = classes.saturating_sub(1).max(1) as f64;
        let top = real(n_max);
        let share = |class: usize| match self {
            Profile::Exponential => imbalance.recip().powf(class as f64 / last),
            Profile::Step if class < classes / 2 || classes == 1 => 1.0,
            Profile::Step => imbalance.recip(),
            Profile::Pareto => {
                let stretch = imbalance.powf(PARETO_EXPONENT.recip()) - 1.0;
                (1.0 + stretch * class as f64 / last).powf(-PARETO_EXPONENT)
            }
            Profile::Zipf if classes == 1 => 1.0,
            Profile::Zipf => (class as f64 + 1.0).powf(-imbalance.ln() / (classes as f64).ln()),
        };
        ClassCounts::new((0..classes).map(|class| whole(top * share(class), n_max)).collect::<Vec<u64>>())
    }
}

/// Rounds down, except where floating point missed a whole number; at most `n_max`, which f64 may not hold.
fn whole(value: f64, n_max: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounding down is the rule")]
    let count = (value * (1.0 + 1e-9)) as u64;
    count.min(n_max)
}
