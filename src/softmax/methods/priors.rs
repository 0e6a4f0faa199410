//! Methods that add a bias from class priors.

use super::{ClassCounts, Result, SoftmaxLoss, parameter};
use crate::Error;

/// Logit adjustment and its relatives.
impl SoftmaxLoss {
    fn biased(bias: Vec<f64>) -> Self {
        Self { bias: Some(bias), ..Self::default() }
    }

    /// Balanced softmax.
    ///
    /// ```text
    /// L_n = -log( n_y e^{z_y} / sum_j n_j e^{z_j} )
    /// ```
    /// `counts`, `[K]`: of the training split as sampled. Nothing to tune; at test time use the plain logits.
    ///
    /// An empty class has bias `-inf`: probability and gradient 0; a row with that label has loss `+inf`, as in
    /// the authors' code. Paper and survey write `pi_j` for `n_j`, which is the same loss.
    ///
    /// Paper: Ren et al. 2020, arXiv 2007.10740.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// ```
    /// # use longtail::{ClassCounts, SoftmaxLoss};
    /// let loss = SoftmaxLoss::balanced(&ClassCounts::new([1, 0])?);
    /// assert_eq!(loss.bias, Some(vec![0.0, f64::NEG_INFINITY]));
    /// # Ok::<(), longtail::Error>(())
    /// ```
    pub fn balanced(counts: &ClassCounts) -> Self {
        Self::biased(counts.log_counts())
    }

    /// Balanced meta-softmax, the loss of its inner step: balanced softmax on samples that a meta sampler has drawn.
    ///
    /// ```text
    /// L_n = s_n (-log( n_y e^{z_y} / sum_j n_j e^{z_j} )) ,   sum_n L_n / N
    /// ```
    /// The batch's row weights are `s_n`, 1 for samples that the meta sampler draws and 0 for the others. Its code
    /// multiplies the row's loss `l` as `l stop(s) s`, so the gradient by `s_n` is `stop(s_n) l_n / N`: the row's loss as
    /// it is returned, over N. The sampler itself (a weight for each class, drawn by Gumbel-softmax) and its outer step,
    /// plain cross-entropy on class-balanced samples after a step of the classifier, are the caller's.
    ///
    /// Paper: Ren et al. 2020, arXiv 2007.10740.
    /// Cost as [`balanced`](Self::balanced), and 4 bytes per row.
    pub fn balanced_meta(counts: &ClassCounts) -> Self {
        Self::balanced(counts).with_reduction(crate::Reduction::Mean)
    }

    /// Logit adjustment as the code computes it.
    ///
    /// ```text
    /// L_n = -log softmax(z + log(pi^tau + 1e-12))_y
    /// ```
    /// `tau`: finite, at least 0; 1 is the default of paper and code, 0 nearly cross-entropy.
    /// At test time use the plain logits.
    ///
    /// Deviation: the paper has `tau log pi` ([`logit_adjusted_exact`](Self::logit_adjusted_exact)); the two
    /// part where `pi^tau` comes near 1e-12 (an empty class has bias -27.6 instead of `-inf`). The PyTorch port
    /// of the code builds its class list from the labels that its loader meets, so that an absent class
    /// shifts all later ones; counts by index do not.
    ///
    /// Paper: Menon et al. 2020, arXiv 2007.07314.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`] for tau.
    pub fn logit_adjusted(counts: &ClassCounts, tau: f64) -> Result<Self> {
        Ok(Self::biased(Self::post_hoc_bias(counts, tau)?))
    }

    /// Logit adjustment as the paper states it.
    ///
    /// ```text
    /// L_n = -log softmax(z + tau log pi)_y
    /// ```
    /// `tau`: finite, at least 0; the paper's default is 1, which is [`balanced`](Self::balanced); 0 is
    /// cross-entropy. For `tau` above 0 an empty class has bias `-inf`.
    ///
    /// Paper: Menon et al. 2020, arXiv 2007.07314.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`] for tau.
    pub fn logit_adjusted_exact(counts: &ClassCounts, tau: f64) -> Result<Self> {
        Ok(Self::biased(scaled_log_priors(counts, tau)?))
    }

    /// Post-hoc logit adjustment: the vector `[K]` to *subtract* from the logits of a model trained with plain
    /// cross-entropy, before taking the largest.
    ///
    /// ```text
    /// class = argmax_j ( z_j - log(pi_j^tau + 1e-12) )
    /// ```
    /// `tau` and source as [`logit_adjusted`](Self::logit_adjusted), whose bias this is; the paper subtracts
    /// `tau log pi`. A model trained with logit adjustment needs no subtraction. Cost: K values, once.
    ///
    /// # Errors
    /// [`Error::Parameter`] for tau.
    pub fn post_hoc_bias(counts: &ClassCounts, tau: f64) -> Result<Vec<f64>> {
        check_tau(tau)?;
        Ok(counts.priors().into_iter().map(|prior| (prior.powf(tau) + 1e-12).ln()).collect())
    }

    /// PriorCE, the cross-entropy of LADE's code.
    ///
    /// ```text
    /// L_n = -log softmax(z + log(pi + 1e-9))_y
    /// ```
    /// Nothing to tune. An empty class has bias -20.7. The regulariser of LADE is no part of it; at test time
    /// LADE adds the logarithm of the test prior to the logits (nothing for a balanced test set).
    ///
    /// Paper: Hong et al. 2020, arXiv 2012.00321 (there without 1e-9).
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    pub fn prior_ce(counts: &ClassCounts) -> Self {
        Self::biased(counts.log_priors(1e-9))
    }

    /// Bayias, the Bayes bias of the UniMix paper: logit adjustment with a prior of the test set.
    ///
    /// ```text
    /// L_n = -log softmax(z + log pi - log pi')_y
    /// ```
    /// `inference_prior` `pi'`, `[K]`: finite, above 0, need not sum to 1 (a common factor cancels);
    /// `None`, the default of the authors' code: uniform, `1 / K`. An empty class has bias `-inf`.
    ///
    /// The paper trains it on [UniMix](crate::softmax::mixing::unimix_lambda) pairs:
    /// [`Targets::Mixed`](crate::Targets::Mixed).
    ///
    /// Paper: Xu et al. 2021, arXiv 2111.03874.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Length`] and [`Error::Parameter`] for the inference prior.
    pub fn bayias(counts: &ClassCounts, inference_prior: Option<&[f64]>) -> Result<Self> {
        let classes = counts.classes();
        let uniform;
        let inference = match inference_prior {
            Some(prior) if prior.len() == classes => prior,
            Some(prior) => {
                return Err(Error::Length {
                    what: "the inference prior",
                    expected: classes as u64,
                    found: prior.len() as u64,
                });
            }
            None => {
                uniform = vec![1.0 / classes as f64; classes];
                &uniform
            }
        };
        for &prior in inference {
            parameter("the inference prior", prior, prior > 0.0, "finite and above 0")?;
        }
        let bias =
            counts.log_priors(0.0).iter().zip(inference).map(|(log, prior)| log - prior.ln()).collect();
        Ok(Self::biased(bias))
    }

    /// Inverse softmax: the third expert of SADE, which prefers the tail.
    ///
    /// ```text
    /// L_n = -log softmax(z + log(pi + 1e-9) - tau log(pi_r + 1e-9))_y
    /// ```
    /// `pi_r` has the priors by reversed rank ([`ClassCounts::reversed_log_priors`], which says what ties do).
    /// `tau`: finite, at least 0; the authors' code has 2; 0 is [`prior_ce`](Self::prior_ce), which is the
    /// second expert, and the first is [`cross_entropy`](Self::cross_entropy).
    ///
    /// Paper: Zhang et al. 2021, arXiv 2107.09249 (there without 1e-9).
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`] for tau.
    pub fn inverse_softmax(counts: &ClassCounts, tau: f64) -> Result<Self> {
        check_tau(tau)?;
        let reversed = counts.reversed_log_priors(1e-9);
        let bias =
            counts.log_priors(1e-9).iter().zip(reversed).map(|(log, other)| log - tau * other).collect();
        Ok(Self::biased(bias))
    }
}

/// `tau log pi`, which is 0 for tau 0 even where the logarithm is `-inf`.
pub(super) fn scaled_log_priors(counts: &ClassCounts, tau: f64) -> Result<Vec<f64>> {
    check_tau(tau)?;
    let scaled = |log: f64| if tau > 0.0 { tau * log } else { 0.0 };
    Ok(counts.log_priors(0.0).into_iter().map(scaled).collect())
}

fn check_tau(tau: f64) -> Result<()> {
    parameter("tau", tau, tau >= 0.0, "finite and at least 0")
}
