//! The papers' methods: one constructor each, which fills the terms of [`SigmoidLoss`].
//!
//! Every constructor's doc has the formula in this notation: `z` logits `[N, K]`, `t` targets in `[0, 1]`, `[N, K]`
//! (`t_nj = 1[j = y_n]` for a label `y_n`), `s = sigmoid(z)`, `bce_nj = -t log s - (1 - t) log(1 - s)`, `n_j` the class
//! counts `[K]`. Where paper, authors' code and the survey (Zhang et al. 2021, arXiv 2110.04596) differ, the default is
//! the authors' code.

mod class_balanced;
mod detection;
mod distribution;
mod multi_label;

pub use distribution::EffectiveMode;

use super::{Background, Focal, Gate, GateSource, SigmoidLoss};
use crate::classes::parameter;
use crate::{ClassCounts, Reduction, Result};

/// The bias of the last linear layer with which every class starts at probability `p`: `-log((1 - p) / p)`.
///
/// The focal loss's paper has `p` 0.01, equalization loss 0.001, the class-balanced loss `1 / K`. `p` lies in `(0, 1)`.
///
/// ```
/// assert_eq!(longtail::sigmoid::prior_bias(0.5)?, 0.0);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for other probabilities.
pub fn prior_bias(probability: f64) -> Result<f64> {
    parameter("the starting probability", probability, probability > 0.0 && probability < 1.0, "in (0, 1)")?;
    Ok(probability.ln() - (-probability).ln_1p())
}

/// Binary cross-entropy and focal.
impl SigmoidLoss {
    /// Binary cross-entropy of every class.
    ///
    /// ```text
    /// L_n = sum_j bce_nj ,   sum_n L_n / (N K)
    /// ```
    /// Logits `[N, K]`; targets multi-hot, `[N, K]` in `[0, 1]`, or one label per row, `[N]`.
    ///
    /// Default reduction: [`Reduction::Elements`], PyTorch's mean of `binary_cross_entropy_with_logits`. Its
    /// `pos_weight` is [`with_positive_weight`](Self::with_positive_weight).
    ///
    /// Cost: no sum over a row is needed before the gradient is known. Loss and gradient read each f32 logit once
    /// (4 bytes) and write the gradient once (4 bytes); multi-hot targets are read once (4 bytes).
    ///
    /// ```
    /// use longtail::{Batch, SigmoidLoss, Targets, Upstream, reference};
    /// let batch = Batch::new(&[0.0, 0.0], 2, Targets::MultiHot(&[1.0, 0.0]));
    /// let output = reference::sigmoid(&SigmoidLoss::bce(), &batch, Upstream::One)?;
    /// assert!((output.loss - 2f64.ln()).abs() < 1e-15);
    /// assert_eq!(output.gradient, [-0.25, 0.25]); // (s - t) / (N K)
    /// # Ok::<(), longtail::Error>(())
    /// ```
    pub fn bce() -> Self {
        Self::default()
    }

    /// Focal loss on sigmoids, with its true gradient.
    ///
    /// ```text
    /// L_n = sum_j a_nj (1 - pt_nj)^gamma bce_nj ,   pt = t s + (1 - t)(1 - s) ,   a = t alpha + (1 - t)(1 - alpha)
    /// ```
    /// `alpha`, the positives' share: in `[0, 1]`; the paper 0.25. `gamma`: finite, at least 0; the paper 2, 0 is
    /// weighted binary cross-entropy.
    ///
    /// Default reduction: [`Reduction::Elements`], mmdetection's own mean. Its detectors divide by the number of
    /// positives instead: [`Reduction::Positives`], or [`Reduction::Fixed`] with their `avg_factor`.
    ///
    /// Paper: Lin et al. 2017, arXiv 1708.02002; code: mmdetection.
    /// Cost as [`bce`](Self::bce). Errors: [`check`](Self::check) refuses other gammas.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for alpha.
    pub fn focal(alpha: f64, gamma: f64) -> Result<Self> {
        parameter("focal alpha", alpha, (0.0..=1.0).contains(&alpha), "in [0, 1]")?;
        Ok(Self::bce().with_factors(alpha, 1.0 - alpha).with_focal(Focal::new(gamma)))
    }

    /// Gates that are closed for sure, or with a probability.
    fn gated(tail: Vec<bool>, drop_probability: f64, seed: u64) -> Self {
        let gate = Gate { tail, drop_probability, source: GateSource::Element, seed, step: 0 };
        Self::bce().with_gate(gate)
    }

    /// Rows that show nothing have the label `K`; the sum over columns, the mean over rows.
    fn of_boxes(self, classes: usize) -> Self {
        let label = i32::try_from(classes).unwrap_or(i32::MAX);
        self.with_background(Some(Background::Label(label))).with_reduction(Reduction::Mean)
    }

    /// Switches deferred re-weighting on: column weights by effective number, normalised to sum K (Cao et al. 2019,
    /// arXiv 1906.07413; VideoLT's code uses `beta` 0.9999 from epoch 50 on).
    ///
    /// # Errors
    /// Those of [`ClassCounts::effective_weights`].
    pub fn with_deferred_reweighting(self, counts: &ClassCounts, beta: f64) -> Result<Self> {
        Ok(self.with_class_weights(counts.effective_weights(beta)?))
    }
}
