//! Class weights and margins from counts.

use super::{ClassCounts, parameter, real};
use crate::Result;

/// How inverse-frequency weights `n_j^-q` are scaled. With [`Reduction::WeightedMean`](crate::Reduction)
/// any common factor cancels; with the other reductions it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Normalisation {
    /// `n_j^-q`.
    None,
    /// `pi_j^-q`: the survey's weighted softmax (with q = 1).
    Prior,
    /// Divided by their sum: sampling probabilities of a class.
    SumToOne,
    /// The weights sum to K: the code of the class-balanced, LDAM and influence-balanced losses. The default.
    #[default]
    SumToClasses,
    /// The mean weight over the training samples is 1, `sum_j pi_j w_j = 1`. With q = 1 this is
    /// `n / (K n_j)`, scikit-learn's `balanced`.
    SampleMean,
    /// `(n_min / n_j)^q`: the smallest class has weight 1 (BagofTricks-LT's cost-sensitive cross-entropy).
    Smallest,
    /// `(n_max / n_j)^q`: the largest class has weight 1 (BBN's reversed sampler with q = 1).
    Largest,
}

/// Weights and margins by class.
impl ClassCounts {
    /// Inverse-frequency weights `n_j^-power`, `[K]`, scaled as `normalisation` says. `power` is finite and at
    /// least 0: 1 is inverse frequency, 1/2 inverse square root, 0 equal weights.
    ///
    /// ```
    /// use longtail::{ClassCounts, Normalisation};
    /// // 1/6, 1/3, 1/2 of the sum of 1/6, 1/3, 1/2, which is 1, times K = 3.
    /// let weights = ClassCounts::new([6, 3, 2])?.inverse_frequency(1.0, Normalisation::SumToClasses)?;
    /// for (weight, expected) in weights.iter().zip([0.5, 1.0, 1.5]) {
    ///     assert!((weight - expected).abs() < 1e-12);
    /// }
    /// # Ok::<(), longtail::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for the power, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn inverse_frequency(&self, power: f64, normalisation: Normalisation) -> Result<Vec<f64>> {
        parameter("the power of inverse frequency", power, power >= 0.0, "finite and at least 0")?;
        self.require_samples("inverse frequency")?;
        let (min, total, classes) = (real(self.min), real(self.total), self.classes() as f64);
        // Relative to the smallest class all weights lie in (0, 1], so that no sum over- or underflows.
        let relative = self.map(|count| (min / count).powf(power));
        let sum: f64 = relative.iter().sum();
        Ok(match normalisation {
            Normalisation::None => self.map(|count| count.powf(-power)),
            Normalisation::Prior => self.map(|count| (total / count).powf(power)),
            Normalisation::SumToOne => relative.iter().map(|weight| weight / sum).collect(),
            Normalisation::SumToClasses => relative.iter().map(|weight| weight * classes / sum).collect(),
            Normalisation::SampleMean => {
                let mean: f64 = relative
                    .iter()
                    .zip(&self.counts)
                    .map(|(weight, &count)| weight * real(count) / total)
                    .sum();
                relative.iter().map(|weight| weight / mean).collect()
            }
            Normalisation::Smallest => relative,
            Normalisation::Largest => {
                let max = real(self.max);
                self.map(|count| (max / count).powf(power))
            }
        })
    }

    /// `1 - log(n_j / n_max)`, `[K]`: the largest class has weight 1. The file `WeightedSoftmaxLoss.py` of the
    /// long-tailed recognition code bases that descend from OLTR (Liu et al. 2019, arXiv 1904.05160) has these
    /// weights, not inverse frequency.
    ///
    /// # Errors
    /// [`Error::Statistics`](crate::Error::Statistics) for an empty class.
    pub fn neg_log_weights(&self) -> Result<Vec<f64>> {
        self.require_samples("the negative-log weight")?;
        let max = real(self.max);
        Ok(self.map(|count| 1.0 - (count / max).ln()))
    }

    /// The effective number of samples `E_j = (1 - beta^n_j) / (1 - beta)`, `[K]` (Cui et al. 2019,
    /// arXiv 1901.05555), through `expm1`; 0 for an empty class. `beta` lies in `[0, 1)`: 0 gives 1 for every
    /// class with a sample, towards 1 it gives `n_j`. The paper tries 0.9, 0.99, 0.999 and 0.9999.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for beta.
    pub fn effective_numbers(&self, beta: f64) -> Result<Vec<f64>> {
        parameter("beta", beta, (0.0..1.0).contains(&beta), "in [0, 1)")?;
        Ok(self.map(|count| match count > 0.0 {
            true => spent(beta, count) / (1.0 - beta),
            // 0 * log 0 is NaN.
            false => 0.0,
        }))
    }

    /// Class weights `1 / E_j` by [effective number](Self::effective_numbers), scaled to sum to K, `[K]`
    /// (Cui et al. 2019, arXiv 1901.05555). `beta` 0 gives all ones; towards 1 the weights become inverse
    /// frequency.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for beta, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn effective_weights(&self, beta: f64) -> Result<Vec<f64>> {
        let numbers = self.effective_numbers(beta)?;
        self.require_samples("the effective-number weight")?;
        let sum: f64 = numbers.iter().map(|number| 1.0 / number).sum();
        let classes = self.classes() as f64;
        Ok(numbers.iter().map(|number| classes / (number * sum)).collect())
    }

    /// LDAM's margins `C / n_j^(1/4)`, `[K]`, with C such that the smallest class has `max_margin`
    /// (Cao et al. 2019, arXiv 1906.07413), in units of the unscaled logit. `max_margin` is finite and at
    /// least 0; the authors' code has 0.5.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for the margin, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn ldam_margins(&self, max_margin: f64) -> Result<Vec<f64>> {
        parameter("max_margin", max_margin, max_margin >= 0.0, "finite and at least 0")?;
        self.require_samples("LDAM's margin")?;
        let min = real(self.min);
        Ok(self.map(|count| max_margin * (min / count).sqrt().sqrt()))
    }

    /// `(n_j / n_max)^gamma`, `[K]`: the inverse of the class-dependent temperature `(n_max / n_j)^gamma` of
    /// CDT and VS. `gamma` is finite and at least 0.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for gamma, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn inverse_temperatures(&self, gamma: f64) -> Result<Vec<f64>> {
        parameter("gamma", gamma, gamma >= 0.0, "finite and at least 0")?;
        self.require_samples("the class-dependent temperature")?;
        let max = real(self.max);
        Ok(self.map(|count| (count / max).powf(gamma)))
    }
}

/// The weight `(1 - beta) / (1 - beta^n)` of a count that need not be whole, for beta in `[0, 1)` and `n` above 0.
pub(crate) fn effective_weight(beta: f64, count: f64) -> f64 {
    (1.0 - beta) / spent(beta, count)
}

/// `1 - beta^n`, for `n` above 0.
fn spent(beta: f64, count: f64) -> f64 {
    // 1 - beta is exact for beta in [1/2, 1), where the logarithm would lose digits.
    -(count * (beta - 1.0).ln_1p()).exp_m1()
}
