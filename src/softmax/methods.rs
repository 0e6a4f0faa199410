//! The papers' methods: one constructor each, which fills the terms of [`SoftmaxLoss`].
//!
//! Every constructor's doc has the formula of the paper in this notation: `z` logits `[N, K]`, `y` the row's
//! label, `n_j` the class counts `[K]`, `n` their sum, `pi_j = n_j / n`, `p = softmax(...)_y` of the row.
//! Where paper, authors' code and the survey (Zhang et al. 2021, arXiv 2110.04596) differ, the default is
//! the authors' code.

mod gates;
mod margins;
mod priors;
mod rows;

pub use rows::SmoothingShape;

use super::{Focal, SoftmaxLoss};
use crate::classes::parameter;
use crate::{ClassCounts, Normalisation, Reduction, Result};

/// Cross-entropy, class weights, focal.
impl SoftmaxLoss {
    /// Cross-entropy.
    ///
    /// ```text
    /// L_n = logsumexp(z) - z_y
    /// ```
    /// Logits `[N, K]`; labels `[N]`, two labels with a share (mixup: Zhang et al. 2017, arXiv 1710.09412; the
    /// shares of remix and UniMix come from [`mixing`](crate::softmax::mixing)), or soft targets `[N, K]`.
    ///
    /// Default reduction: [`Reduction::WeightedMean`], PyTorch's mean.
    ///
    /// Cost: loss and gradient read each f32 logit once (4 bytes), or twice (8 bytes) when a row does not
    /// fit on the chip, and write the gradient once (4 bytes). Soft targets are read as often as the logits.
    ///
    /// ```
    /// let loss = longtail::SoftmaxLoss::cross_entropy().with_label_smoothing(0.1);
    /// assert!(loss.check(1000, longtail::TargetKind::Soft).is_ok());
    /// ```
    pub fn cross_entropy() -> Self {
        Self::default()
    }

    /// Cross-entropy with the caller's class weights.
    ///
    /// ```text
    /// L_n = w_y (-log p)
    /// ```
    /// `weights`, `[K]`: finite, at least 0; 0 takes rows of that class out of loss and denominator.
    ///
    /// Default reduction: [`Reduction::WeightedMean`], PyTorch's, which divides by `sum_n w_{y_n}`: a factor
    /// common to all weights cancels. [`Reduction::Mean`] divides by N.
    ///
    /// Errors: [`check`](Self::check) refuses other weights and another length.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    pub fn weighted(weights: impl Into<Vec<f64>>) -> Self {
        Self::default().with_class_weights(weights.into())
    }

    /// Weighted softmax as the survey defines it.
    ///
    /// ```text
    /// L_n = (1 / pi_y) (-log p) ,   mean over N
    /// ```
    /// Deviation: practice, and the survey's own code, divide by the sum of the weights, and their file of this
    /// name has other weights: [`weighted_neg_log`](Self::weighted_neg_log). This constructor is the printed
    /// formula: the loss of a rare class is large in absolute terms, so that the learning rate has to follow.
    ///
    /// Paper: Zhang et al. 2021, Deep Long-Tailed Learning: A Survey, arXiv 2110.04596.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Statistics`](crate::Error::Statistics) for an empty class.
    pub fn weighted_survey(counts: &ClassCounts) -> Result<Self> {
        let weights = counts.inverse_frequency(1.0, Normalisation::Prior)?;
        Ok(Self::weighted(weights).with_reduction(Reduction::Mean))
    }

    /// Inverse-frequency weights with the weighted mean, the usual practice.
    ///
    /// ```text
    /// L_n = w_y (-log p) ,   w_j = n / (K n_j) ,   sum_n L_n / sum_n w_{y_n}
    /// ```
    /// The scaling of `w` cancels in the loss; this one gives weights of mean 1 over the training samples.
    ///
    /// Source: the survey (Zhang et al. 2021, arXiv 2110.04596) with PyTorch's reduction.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Statistics`](crate::Error::Statistics) for an empty class.
    pub fn weighted_inverse(counts: &ClassCounts) -> Result<Self> {
        Ok(Self::weighted(counts.inverse_frequency(1.0, Normalisation::SampleMean)?))
    }

    /// Negative-log weights: what the file `WeightedSoftmaxLoss.py` of the survey's code base does.
    ///
    /// ```text
    /// L_n = w_y (-log p) ,   w_j = 1 - log(n_j / n_max) ,   sum_n L_n / sum_n w_{y_n}
    /// ```
    /// Much milder than inverse frequency: a class 100 times rarer weighs 5.6 times more.
    ///
    /// Source: the code bases that descend from OLTR (Liu et al. 2019, arXiv 1904.05160); no paper states it.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Statistics`](crate::Error::Statistics) for an empty class.
    pub fn weighted_neg_log(counts: &ClassCounts) -> Result<Self> {
        Ok(Self::weighted(counts.neg_log_weights()?))
    }

    /// Cost-sensitive cross-entropy.
    ///
    /// ```text
    /// L_n = w_y (-log p) ,   w_j = (n_min / n_j)^gamma ,   sum_n L_n / sum_n w_{y_n}
    /// ```
    /// `gamma`: finite, at least 0; 1 is the default of the code and inverse frequency, 1/2 its square root.
    ///
    /// Source: Zhang et al. 2021, Bag of Tricks for Long-Tailed Visual Recognition (AAAI 2021), its code.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for gamma, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn weighted_cost_sensitive(counts: &ClassCounts, gamma: f64) -> Result<Self> {
        Ok(Self::weighted(counts.inverse_frequency(gamma, Normalisation::Smallest)?))
    }

    /// Class-balanced softmax cross-entropy, by effective number, with the weighted mean.
    ///
    /// ```text
    /// L_n = w_y (-log p) ,   w_j ~ (1 - beta) / (1 - beta^n_j) ,   sum_j w_j = K ,   sum_n L_n / sum_n w_{y_n}
    /// ```
    /// `beta`: in `[0, 1)`; the paper tries 0.9, 0.99, 0.999 and 0.9999, LDAM's code and the survey use 0.9999.
    /// 0 is plain cross-entropy, towards 1 the weights become inverse frequency.
    ///
    /// Deviations: the authors' TensorFlow code divides by N
    /// ([`class_balanced_mean`](Self::class_balanced_mean)); this form is LDAM's code. The survey's code
    /// base has a binary cross-entropy on softmax probabilities under this name, which is another loss.
    /// The focal form of the paper is one of sigmoids; on a softmax, add
    /// [`with_focal`](Self::with_focal).
    ///
    /// Paper: Cui et al. 2019, arXiv 1901.05555.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for beta, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn class_balanced(counts: &ClassCounts, beta: f64) -> Result<Self> {
        Ok(Self::weighted(counts.effective_weights(beta)?))
    }

    /// Class-balanced softmax cross-entropy as in the authors' TensorFlow code: the same weights as
    /// [`class_balanced`](Self::class_balanced), but the mean over N.
    ///
    /// ```text
    /// L_n = w_y (-log p) ,   w_j ~ (1 - beta) / (1 - beta^n_j) ,   sum_j w_j = K ,   sum_n L_n / N
    /// ```
    /// Parameters, paper, errors and cost as there.
    ///
    /// # Errors
    /// Those of [`class_balanced`](Self::class_balanced).
    pub fn class_balanced_mean(counts: &ClassCounts, beta: f64) -> Result<Self> {
        Ok(Self::class_balanced(counts, beta)?.with_reduction(Reduction::Mean))
    }

    /// Focal loss on a softmax, with its true gradient.
    ///
    /// ```text
    /// L_n = (1 - p)^gamma (-log p)
    /// ```
    /// `gamma`: finite, at least 0; 0 is cross-entropy. The paper's 2; LDAM's code 1.
    ///
    /// Deviations: several code bases keep the modulator out of the gradient
    /// ([`focal_detached`](Self::focal_detached)). The paper's loss is one of sigmoids; this is the survey's.
    /// The influence-balanced loss's repository multiplies its focal baseline by 10.
    ///
    /// Paper: Lin et al. 2017, arXiv 1708.02002.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy).
    /// Errors: [`check`](Self::check) refuses other gammas.
    pub fn focal(gamma: f64) -> Self {
        Self::default().with_focal(Focal::new(gamma))
    }

    /// Focal loss whose modulator is a constant in the gradient: the code of OLTR, LADE and the survey.
    ///
    /// ```text
    /// L_n = c (-log p) ,   c = (1 - p)^gamma held fixed
    /// ```
    /// `gamma`: finite, at least 0; these codes have 2, the survey's 3.
    ///
    /// Paper and cost as [`focal`](Self::focal), whose gradient differs by the factor's own derivative.
    /// Errors: [`check`](Self::check) refuses other gammas.
    pub fn focal_detached(gamma: f64) -> Self {
        Self::default().with_focal(Focal { gamma, detached: true, weight_inside: false })
    }

    /// Focal loss with the class weight inside the modulator, as in LDAM's code.
    ///
    /// ```text
    /// l_n = w_y (-log p) ,   L_n = (1 - exp(-l_n))^gamma l_n ,   sum_n L_n / N
    /// ```
    /// `weights`, `[K]`: finite, at least 0; their scale matters, twice. `gamma`: finite, at least 0; LDAM's
    /// code has 1, with weights by effective number (`beta` 0.9999).
    ///
    /// Deviation: the paper's class weight stands outside the modulator: [`focal`](Self::focal) with
    /// [`with_class_weights`](Self::with_class_weights).
    ///
    /// Source: the code of Cao et al. 2019, arXiv 1906.07413.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    /// Errors: [`check`](Self::check) refuses other weights and gammas.
    pub fn focal_weighted(weights: impl Into<Vec<f64>>, gamma: f64) -> Self {
        Self::weighted(weights)
            .with_focal(Focal { gamma, detached: false, weight_inside: true })
            .with_reduction(Reduction::Mean)
    }
}
