//! The multi-label baselines of VideoLT: long-tailed losses moved from labels to multi-hot targets.

use super::{ClassCounts, Focal, Result, SigmoidLoss, parameter};
use crate::sigmoid::Margin;

/// VideoLT's baselines (Zhang et al. 2021, arXiv 2105.02668), all with the mean over N K.
impl SigmoidLoss {
    /// Class-balanced binary cross-entropy with a weight for each column.
    ///
    /// ```text
    /// L_n = sum_j w_j bce_nj ,   w_j ~ (1 - beta) / (1 - beta^n_j) ,   sum_j w_j = K ,   sum_n L_n / (N K)
    /// ```
    /// `beta`: in `[0, 1)`; the code 0.9999. Deviation: the paper of the loss (Cui et al. 2019, arXiv 1901.05555) weighs
    /// the row by its label ([`class_balanced`](Self::class_balanced)).
    ///
    /// Source: the code of Zhang et al. 2021, arXiv 2105.02668. Cost as [`bce`](Self::bce), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for beta, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn multi_label_class_balanced(counts: &ClassCounts, beta: f64) -> Result<Self> {
        Self::bce().with_deferred_reweighting(counts, beta)
    }

    /// Equalization loss for multi-hot targets, with a gate for every element.
    ///
    /// ```text
    /// L_n = sum_j W_nj bce_nj ,   W_nj = 1 - b_nj T_j (1 - t_nj) ,   b ~ Bernoulli(g) ,   sum_n L_n / (N K)
    /// T_j = 1 where n_j <= tail
    /// ```
    /// `tail`: the code 100. `drop_probability` `g`: in `[0, 1]`; the code 1.76e-3, which looks like the threshold lambda
    /// of equalization loss in the place of its probability (0.9 there). `seed`: of the counter-based generator; advance
    /// it with [`with_step`](Self::with_step) once per step.
    ///
    /// Source: the code of Zhang et al. 2021, arXiv 2105.02668; the loss: Tan et al. 2020, arXiv 2003.05176.
    /// Cost as [`bce`](Self::bce), and one column of K; the gates are computed where they are used.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for the probability.
    pub fn multi_label_equalization(
        counts: &ClassCounts,
        tail: u64,
        drop_probability: f64,
        seed: u64,
    ) -> Result<Self> {
        let in_range = (0.0..=1.0).contains(&drop_probability);
        parameter("drop_probability", drop_probability, in_range, "in [0, 1]")?;
        let tail = counts.counts().iter().map(|&count| count <= tail).collect();
        Ok(Self::gated(tail, drop_probability, seed))
    }

    /// Focal loss with one factor for positives and negatives.
    ///
    /// ```text
    /// L_n = alpha sum_j (1 - pt_nj)^gamma bce_nj ,   pt = exp(-bce) ,   sum_n L_n / (N K)
    /// ```
    /// `alpha`: finite, at least 0; the code 1. `gamma`: finite, at least 0; the code's default 0, its runs 2. For
    /// targets strictly between 0 and 1 `pt` is `t s + (1 - t)(1 - s)` here.
    ///
    /// Source: the code of Zhang et al. 2021, arXiv 2105.02668; the loss: Lin et al. 2017, arXiv 1708.02002.
    /// Cost as [`bce`](Self::bce). Errors: [`check`](Self::check) refuses other numbers.
    pub fn multi_label_focal(alpha: f64, gamma: f64) -> Self {
        Self::bce().with_factors(alpha, alpha).with_focal(Focal::new(gamma))
    }

    /// LDAM for multi-hot targets, as the code computes it: every positive is shifted by the sum of the margins of all
    /// positives of its row.
    ///
    /// ```text
    /// u_nj = s (z_nj - [t_nj > 0] sum_k t_nk D_k) ,   D_j = max_m (n_min / n_j)^(1/4) ,   L_n = sum_j bce(u_nj, t_nj)
    /// sum_n L_n / (N K)
    /// ```
    /// `max_m`: finite, at least 0; the code 0.5. `scale` `s`: finite, above 0; the code 30.
    /// [`with_deferred_reweighting`](Self::with_deferred_reweighting) gives LDAM-DRW.
    ///
    /// Deviation: LDAM itself (Cao et al. 2019, arXiv 1906.07413) shifts a class by its own margin; set
    /// [`Margin::summed`] to false for that.
    ///
    /// Source: the code of Zhang et al. 2021, arXiv 2105.02668. Cost as [`bce`](Self::bce), one column of K and one
    /// number per row.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for `max_m` and `scale`,
    /// [`Error::Statistics`](crate::Error::Statistics) for an empty class.
    pub fn multi_label_ldam(counts: &ClassCounts, max_m: f64, scale: f64) -> Result<Self> {
        parameter("scale", scale, scale > 0.0, "finite and above 0")?;
        let columns = counts.ldam_margins(max_m)?.into_iter().map(|margin| scale * margin).collect();
        Ok(Self { scale, margin: Some(Margin { columns, summed: true }), ..Self::default() })
    }
}
