//! Range loss: pairwise distances of features within and between classes.

use crate::batch::length;
use crate::check::{check_classes, number};
use crate::{Error, Result};

/// Range loss on features: plain data, as every spec.
///
/// Formula, for features `x`, `[N, D]`, and labels, `d(a, b) = max(|a - b|, 1e-6)`:
/// ```text
/// intra = sum_classes m / sum_{m largest pair distances of the class} 1 / d ,   m = min(pairs, number of pairs)
/// inter = max(0, margin - min_{two classes} d(centre, centre'))
/// L     = intra_weight intra + inter_weight inter
/// ```
/// Each class's part is the harmonic mean of its largest distances; a class with one row in the batch has none. With
/// fewer than two classes `inter` is 0. The gradient goes through the distances that were picked (the first ones on
/// ties, in the order of rows; for classes in the order of their first row), not through those at the floor of 1e-6; at
/// `margin = d` it is 0.
///
/// Deviations: the authors' distances are not squared in this code, and are in the paper. Where a class has fewer pairs
/// than `pairs` the code counts distances of a row to itself, 1e-6, so that the class's part is next to 0.
///
/// Paper: Zhang et al. 2016, Range Loss for Deep Face Recognition with Long-tail, arXiv 1611.08976; code: the survey's
/// (Zhang et al. 2021, arXiv 2110.04596), after one for person re-identification.
/// Cost: O(N^2 D) operations at most; a row meets the rows of its class and the centres meet each other.
///
/// On the device ([`gpu`](crate::gpu)) the features are in the logits' place, D the classes. One workgroup has a class's
/// pairs and goes through them once for each of `pairs`, at most 64, and once for the centres; nothing of size N x N or
/// C x D is kept, centres are summed where they are met. N and D are below 32,768, the batch in one block and within a
/// binding ([`Error::Limit`]), the gradient in a buffer of its own ([`Error::Combination`] in place), and distances below
/// 1.8e19. An upstream gradient is one number, and row losses are 0.
///
/// ```
/// use longtail::{Batch, RangeLoss, Targets, gpu::Context};
/// # fn main() -> longtail::Result<()> {
/// let batch = Batch::new(&[0.0, 3.0, 10.0, 10.5], 1, Targets::Hard(&[0, 0, 1, 1]));
/// let out = Context::new()?.loss_and_grad(&RangeLoss::new(2, 9.0), &batch)?;
/// assert!((out.loss - 0.5 * (3.5 + 0.25)).abs() < 1e-5);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RangeLoss {
    /// How many of a class's largest pair distances count, at least 1. Default 2, the paper's and the code's.
    pub pairs: u32,
    /// The distance that centres should have. Finite, at least 0. Default 0.1, the code's.
    pub margin: f64,
    /// The factor of `intra`. Finite, at least 0. Default 0.5, the code's.
    pub intra_weight: f64,
    /// The factor of `inter`. Finite, at least 0. Default 0.5, the code's.
    pub inter_weight: f64,
    /// The label of rows that do not count. Default `Some(-100)`.
    pub ignore_index: Option<i32>,
}

impl Default for RangeLoss {
    fn default() -> Self {
        Self { pairs: 2, margin: 0.1, intra_weight: 0.5, inter_weight: 0.5, ignore_index: Some(-100) }
    }
}

impl RangeLoss {
    /// With `pairs` distances of each class and a `margin` between centres.
    pub fn new(pairs: u32, margin: f64) -> Self {
        Self { pairs, margin, ..Self::default() }
    }

    /// Sets the factors of the two parts.
    #[must_use]
    pub fn with_weights(mut self, intra: f64, inter: f64) -> Self {
        self.intra_weight = intra;
        self.inter_weight = inter;
        self
    }

    /// Sets the label of rows that do not count; `None`: every row counts.
    #[must_use]
    pub fn with_ignore_index(mut self, index: Option<i32>) -> Self {
        self.ignore_index = index;
        self
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn check(&self) -> Result<()> {
        let not_negative = "finite in f32 and at least 0";
        if self.pairs == 0 {
            return Err(Error::Parameter { name: "pairs", value: 0.0, expected: "at least 1" });
        }
        number("margin", self.margin, self.margin >= 0.0, not_negative)?;
        number("intra_weight", self.intra_weight, self.intra_weight >= 0.0, not_negative)?;
        number("inter_weight", self.inter_weight, self.inter_weight >= 0.0, not_negative)
    }

    /// Checks features `[N, dimension]` and labels `[N]`, any numbers, against the spec.
    ///
    /// # Errors
    /// [`Error::Parameter`], and [`Error::Length`] for features that are not `[N, dimension]`.
    pub fn check_batch<T>(&self, features: &[T], dimension: usize, labels: &[i32]) -> Result<()> {
        self.check()?;
        check_classes(dimension)?;
        length("features", features.len(), labels.len().saturating_mul(dimension))
    }
}
