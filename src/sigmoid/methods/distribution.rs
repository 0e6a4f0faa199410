//! The distribution-balanced loss and the other weights of its code.

use super::{ClassCounts, Focal, Result, SigmoidLoss, parameter};
use crate::Error;
use crate::sigmoid::{Rebalance, RowWeight};

/// How the effective number of a row with several classes is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum EffectiveMode {
    /// Each column has its own weight.
    ByClass,
    /// The weight of the mean count of the row's positives.
    AverageCount,
    /// The mean weight of the row's positives. The code's default.
    #[default]
    AverageWeight,
    /// The weight of the smallest count of the row's positives; a class that is not present counts as 100,000.
    SmallestCount,
}

/// Multi-label re-weighting.
impl SigmoidLoss {
    /// Binary cross-entropy with re-balanced weights, the first half of the distribution-balanced loss.
    ///
    /// ```text
    /// L_n = sum_j R_nj bce_nj ,   R_nj = alpha + sigmoid(beta (r_nj - gamma)) ,   sum_n L_n / (N K)
    /// r_nj = (1 / n_j) / sum_k (t_nk / n_k)
    /// ```
    /// `counts`, `[K]`: how many samples show each class. `alpha`: finite, at least 0, 0.1 in the authors'
    /// configurations; `beta`: finite, 10; `gamma`: finite, 0.2 (COCO) or 0.3 (VOC). The code's own defaults are 10, 0.2
    /// and 0.1. For a row without a positive `r` is infinite, so that `R = 1 + alpha`.
    ///
    /// Paper: Wu et al. 2020, arXiv 2007.09654.
    /// Cost as [`bce`](Self::bce), one column of K and one number per row.
    ///
    /// # Errors
    /// [`Error::Statistics`] for an empty class.
    pub fn rebalanced(counts: &ClassCounts, alpha: f64, beta: f64, gamma: f64) -> Result<Self> {
        counts.require_samples("the re-balanced weight")?;
        let counts = counts.counts().to_vec();
        Ok(Self::bce().with_rebalance(Rebalance { counts, alpha, beta, gamma }))
    }

    /// Adds negative-tolerant regularisation: a bias by prevalence, and negatives that saturate sooner.
    ///
    /// ```text
    /// v_nj = z_nj + bias_j ,   bias_j = -init_bias log(n / n_j - 1) / negative_scale
    /// u_nj = v_nj for positives, negative_scale v_nj for negatives, whose weight is divided by negative_scale
    /// ```
    /// `samples` `n`: how many training samples there are, more than any class has. `init_bias`: finite; the authors'
    /// configurations 0.05, the code's default 0.1. `negative_scale`: finite, above 0; 2 (COCO), 5 (VOC and the code).
    ///
    /// Paper: Wu et al. 2020, arXiv 2007.09654.
    ///
    /// # Errors
    /// [`Error::Statistics`] for a class with no sample or with all of them; [`Error::Parameter`] for other numbers.
    pub fn with_negative_tolerance(
        self,
        counts: &ClassCounts,
        samples: u64,
        init_bias: f64,
        negative_scale: f64,
    ) -> Result<Self> {
        parameter("init_bias", init_bias, true, "finite")?;
        parameter("negative_scale", negative_scale, negative_scale > 0.0, "finite and above 0")?;
        counts.require_samples("the negative-tolerant bias")?;
        let bias = |(class, &count): (usize, &u64)| match samples.checked_sub(count) {
            None | Some(0) => Err(Error::Statistics {
                class: Some(class),
                reason: format!(
                    "it has {count} of {samples} samples, and the bias is the logarithm of the others: count the \
                     samples, not the labels"
                ),
            }),
            Some(others) => Ok(-init_bias * (others as f64 / count as f64).ln() / negative_scale),
        };
        let bias = counts.counts().iter().enumerate().map(bias).collect::<Result<Vec<f64>>>()?;
        Ok(Self { negative_scale, ..self.with_bias(bias) })
    }

    /// Distribution-balanced focal loss, with the numbers of the authors' COCO configuration.
    ///
    /// ```text
    /// L_n = 2 sum_j W_nj (1 - pt_nj)^2 bce(u_nj, t_nj) ,   sum_n L_n / (N K)
    /// W_nj = R_nj (t_nj + (1 - t_nj) / 2) ,   u_nj = (z_nj + bias_j)(t_nj + 2 (1 - t_nj)) ,   pt from u
    /// ```
    /// [`rebalanced`](Self::rebalanced)`(counts, 0.1, 10, 0.2)` with
    /// [`negative tolerance`](Self::with_negative_tolerance)`(counts, samples, 0.05, 2)`, focal and the factor 2. The
    /// VOC configuration has 0.3 and 5 in them: call those two. `counts`, `[K]`: how many samples show each class;
    /// `samples`: how many there are. Multi-hot targets.
    ///
    /// Deviation: with focal the authors' loss is not reduced, and their trainer takes the mean over all elements.
    ///
    /// Paper: Wu et al. 2020, arXiv 2007.09654.
    /// Cost as [`bce`](Self::bce), two columns of K and one number per row.
    ///
    /// # Errors
    /// Those of the two parts.
    pub fn distribution_balanced(counts: &ClassCounts, samples: u64) -> Result<Self> {
        let loss = Self::rebalanced(counts, 0.1, 10.0, 0.2)?;
        let loss = loss.with_negative_tolerance(counts, samples, 0.05, 2.0)?;
        Ok(loss.with_focal(Focal::new(2.0)).with_factors(2.0, 2.0))
    }

    /// Column weights by inverse prevalence: `inv` and `sqrt_inv` of the distribution-balanced loss's code.
    ///
    /// ```text
    /// L_n = sum_j (n / n_j)^power bce_nj ,   sum_n L_n / (N K)
    /// ```
    /// `power`: finite, at least 0; 1 for `inv`, 1/2 for `sqrt_inv`. `samples` `n`, at least 1.
    ///
    /// Source: the code of Wu et al. 2020, arXiv 2007.09654. Cost as [`bce`](Self::bce), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`] for the power and the samples, [`Error::Statistics`] for an empty class.
    pub fn inverse_prevalence(counts: &ClassCounts, samples: u64, power: f64) -> Result<Self> {
        parameter("the power of inverse prevalence", power, power >= 0.0, "finite and at least 0")?;
        parameter("the number of samples", samples as f64, samples > 0, "at least 1")?;
        counts.require_samples("inverse prevalence")?;
        let weight = |&count: &u64| (samples as f64 / count as f64).powf(power);
        Ok(Self::bce().with_class_weights(counts.counts().iter().map(weight).collect()))
    }

    /// Weights by effective number for rows with several classes: `CB` of the distribution-balanced loss's code.
    ///
    /// ```text
    /// L_n = sum_j w_nj bce_nj ,   w = (1 - beta) / (1 - beta^n) ,   sum_n L_n / (N K)
    /// ```
    /// with `n` by [`EffectiveMode`]. `beta`: in `[0, 1)`; the code's default 0.9. Weights are not normalised to sum K,
    /// unlike those of [`class_balanced`](Self::class_balanced).
    ///
    /// Source: the code of Wu et al. 2020, arXiv 2007.09654; the weight: Cui et al. 2019, arXiv 1901.05555.
    /// Cost as [`bce`](Self::bce), one column of K and one number per row.
    ///
    /// # Errors
    /// [`Error::Parameter`] for beta, [`Error::Statistics`] for an empty class.
    pub fn effective_number(counts: &ClassCounts, beta: f64, mode: EffectiveMode) -> Result<Self> {
        let numbers = counts.effective_numbers(beta)?;
        counts.require_samples("the effective-number weight")?;
        let weights = || numbers.iter().map(|number| 1.0 / number).collect();
        let counts = counts.counts().to_vec();
        Ok(match mode {
            EffectiveMode::ByClass => Self::bce().with_class_weights(weights()),
            EffectiveMode::AverageWeight => Self::bce().with_row_weight(RowWeight::Mean(weights())),
            EffectiveMode::AverageCount => {
                Self::bce().with_row_weight(RowWeight::EffectiveOfMean { counts, beta })
            }
            EffectiveMode::SmallestCount => {
                Self::bce().with_row_weight(RowWeight::EffectiveOfMin { counts, beta, absent: 100_000.0 })
            }
        })
    }
}
