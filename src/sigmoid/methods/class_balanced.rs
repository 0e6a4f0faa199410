//! The class-balanced loss on sigmoids, with the denominators of its two code bases.

use super::{ClassCounts, Focal, Reduction, Result, SigmoidLoss, parameter};
use crate::sigmoid::{Link, RowWeight};

/// Weights of the label for the whole row.
impl SigmoidLoss {
    fn by_label(counts: &ClassCounts, beta: f64) -> Result<Self> {
        Ok(Self::bce().with_row_weight(RowWeight::Mean(counts.effective_weights(beta)?)))
    }

    /// Class-balanced sigmoid cross-entropy, as in the authors' TensorFlow code.
    ///
    /// ```text
    /// L_n = w_y sum_j bce_nj ,   w_j ~ (1 - beta) / (1 - beta^n_j) ,   sum_j w_j = K ,   sum_n L_n / sum_nj t_nj
    /// ```
    /// `beta`: in `[0, 1)`; the paper tries 0.9, 0.99, 0.999 and 0.9999. One label per row, so the denominator is N;
    /// with multi-hot targets the row's weight is the mean over its positives.
    ///
    /// Deviation: the PyTorch port takes the mean over N K, which is K times smaller
    /// ([`class_balanced_port`](Self::class_balanced_port)).
    ///
    /// Paper: Cui et al. 2019, arXiv 1901.05555. It starts the classifier's bias at [`prior_bias`](super::prior_bias)
    /// of `1 / K`.
    /// Cost as [`bce`](Self::bce), one column of K and one number per row.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for beta, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn class_balanced(counts: &ClassCounts, beta: f64) -> Result<Self> {
        Ok(Self::by_label(counts, beta)?.with_reduction(Reduction::Positives))
    }

    /// Class-balanced sigmoid cross-entropy, as in the widely used PyTorch port.
    ///
    /// ```text
    /// L_n = w_y sum_j bce_nj ,   sum_n L_n / (N K)
    /// ```
    /// Weights, parameters, paper and cost as [`class_balanced`](Self::class_balanced). The port's call has a keyword
    /// that PyTorch refuses today; this is what it means.
    ///
    /// # Errors
    /// Those of [`class_balanced`](Self::class_balanced).
    pub fn class_balanced_port(counts: &ClassCounts, beta: f64) -> Result<Self> {
        Self::by_label(counts, beta)
    }

    /// Class-balanced focal loss, the same in both code bases.
    ///
    /// ```text
    /// L_n = w_y sum_j (1 - pt_nj)^gamma bce_nj ,   pt = t s + (1 - t)(1 - s) ,   sum_n L_n / sum_nj t_nj
    /// ```
    /// `gamma`: finite, at least 0; the paper tries 0.5, 1 and 2. Weights, `beta`, paper and cost as
    /// [`class_balanced`](Self::class_balanced).
    ///
    /// Deviation: the code's modulator `exp(-gamma t z - gamma log(1 + e^-z))` overflows f32 for `z` below -88; the same
    /// number is computed here without.
    ///
    /// # Errors
    /// Those of [`class_balanced`](Self::class_balanced), and [`Error::Parameter`](crate::Error::Parameter) for gamma.
    pub fn class_balanced_focal(counts: &ClassCounts, beta: f64, gamma: f64) -> Result<Self> {
        parameter("focal gamma", gamma, gamma >= 0.0, "finite and at least 0")?;
        Ok(Self::class_balanced(counts, beta)?.with_focal(Focal::new(gamma)))
    }

    /// The form that the PyTorch port calls "softmax": binary cross-entropy of softmax probabilities.
    ///
    /// ```text
    /// L_n = w_y sum_j [ -t_nj log p_nj - (1 - t_nj) log(1 - p_nj) ] ,   p = softmax(z) ,   sum_n L_n / (N K)
    /// dL_n / dz_nj = p_nj (d_nj - sum_k d_nk p_nk) ,   d_nj = w_y (p_nj - t_nj) / max(p_nj (1 - p_nj), 1e-12)
    /// ```
    /// Not softmax cross-entropy, which is [`SoftmaxLoss::class_balanced`](crate::SoftmaxLoss::class_balanced): the
    /// other classes' terms are added, and the mean over K divides it all by K. The survey's code base has it under the
    /// name of the class-balanced loss, with `beta` 0.9. Logarithms are at least -100, as in PyTorch; where one is
    /// clamped the loss is constant and its gradient is not.
    ///
    /// Weights, parameters, paper as [`class_balanced`](Self::class_balanced).
    /// Cost: as softmax cross-entropy two reads of the logits at most, and sums of powers of the probabilities.
    ///
    /// # Errors
    /// Those of [`class_balanced`](Self::class_balanced).
    pub fn class_balanced_on_softmax(counts: &ClassCounts, beta: f64) -> Result<Self> {
        Ok(Self { link: Link::Softmax, ..Self::by_label(counts, beta)? })
    }
}
