//! How the rows' losses become one number.

use crate::{Error, Result};

/// How the rows' losses `L_n` become the reported loss and by what the gradient is divided.
///
/// "Kept" rows are those whose label is not the ignored index. With every row ignored each reduction
/// gives loss 0 and gradient 0 (PyTorch gives NaN).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Reduction {
    /// No reduction: the per-row losses are the result, the gradient is that of each row's own loss, and the
    /// scalar loss is their sum.
    None,
    /// `sum_n L_n`.
    Sum,
    /// `sum_n L_n / N` over all N rows, ignored ones included.
    Mean,
    /// `sum_n L_n / (number of kept rows)`: PyTorch's `mean` without class weights.
    MeanKept,
    /// `sum_n L_n / sum_n w_{y_n}` over kept rows, `w` the class weights: PyTorch's `mean` with class weights,
    /// and equal to [`MeanKept`](Self::MeanKept) without. Per-row weights do not enter the denominator.
    /// For two labels the row counts `lambda w_a + (1 - lambda) w_b`; for soft targets, as in PyTorch, 1.
    /// The default.
    #[default]
    WeightedMean,
    /// `sum_n L_n / (N K)` over all N rows, ignored ones included, times the K columns: PyTorch's `mean` of binary
    /// losses. For the [sigmoid family](crate::SigmoidLoss).
    Elements,
    /// `sum_n L_n / sum_nj t_nj` over the kept rows' targets: the number of positives, without those of a background
    /// column. For the [sigmoid family](crate::SigmoidLoss). Without a positive in the batch loss and gradient are 0.
    Positives,
    /// `sum_n L_n / d`: detection's `avg_factor`. `d` is finite and above 0.
    Fixed(f64),
}

impl Reduction {
    /// Checks the denominator of [`Fixed`](Self::Fixed).
    pub(crate) fn check(&self) -> Result<()> {
        match *self {
            Reduction::Fixed(d) if !(d.is_finite() && d > 0.0) => Err(Error::Parameter {
                name: "the fixed denominator",
                value: d,
                expected: "finite and above 0",
            }),
            _ => Ok(()),
        }
    }
}
