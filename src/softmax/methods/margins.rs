//! Methods that shift the target's logit or scale the logits by class.

use super::priors::scaled_log_priors;
use super::{ClassCounts, Result, SoftmaxLoss, parameter};

/// Margins and class-dependent scales.
impl SoftmaxLoss {
    /// LDAM, the label-distribution-aware margin loss, as the authors' code computes it.
    ///
    /// ```text
    /// D_j = max_m (n_min / n_j)^(1/4) ,   u_j = s (z_j - D_y [j = y]) ,   L_n = -log softmax(u)_y
    /// ```
    /// Logits `[N, K]`: cosines in `[-1, 1]` in the authors' code (a linear layer with normalised features and
    /// weights). `max_m`: the smallest class's margin in units of the cosine, finite, at least 0; the authors'
    /// code 0.5. `scale` `s`: finite, above 0; the authors' code 30.
    ///
    /// [`with_deferred_reweighting`](Self::with_deferred_reweighting) gives LDAM-DRW; the weighted mean is its
    /// reduction.
    ///
    /// Deviations: the paper has no scale. The survey prints the margin on every class
    /// ([`ldam_all_classes`](Self::ldam_all_classes)). RIDE's code takes scaled logits
    /// ([`ldam_prescaled`](Self::ldam_prescaled)). The paper re-weights by `1 / n`, its code by effective
    /// number.
    ///
    /// Paper: Cao et al. 2019, arXiv 1906.07413.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for `max_m` and `scale`,
    /// [`Error::Statistics`](crate::Error::Statistics) for an empty class.
    pub fn ldam(counts: &ClassCounts, max_m: f64, scale: f64) -> Result<Self> {
        Ok(Self { scale, margin: Some(scaled_margins(counts, max_m, scale)?), ..Self::default() })
    }

    /// LDAM on logits that are already multiplied by the scale: RIDE's code.
    ///
    /// ```text
    /// u_j = z_j - s D_y [j = y] ,   L_n = -log softmax(u)_y
    /// ```
    /// `D`, `max_m` (0.5) and `scale` (30) as in [`ldam`](Self::ldam): `scale` is the factor that the logits
    /// have already, and multiplies the margin only.
    ///
    /// Paper: Wang et al. 2020, RIDE, arXiv 2010.01809, its code; LDAM itself: arXiv 1906.07413.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// Those of [`ldam`](Self::ldam).
    pub fn ldam_prescaled(counts: &ClassCounts, max_m: f64, scale: f64) -> Result<Self> {
        Ok(Self { margin: Some(scaled_margins(counts, max_m, scale)?), ..Self::default() })
    }

    /// LDAM as the survey prints it: the margin on every class, which makes it a bias.
    ///
    /// ```text
    /// u_j = s (z_j - D_j) ,   L_n = -log softmax(u)_y
    /// ```
    /// `D`, `max_m` and `scale` as in [`ldam`](Self::ldam). The survey has no scale (1); LDAM's code 30.
    /// Not LDAM in effect: tail logits are pushed down in every row, not only in their own.
    ///
    /// Paper: Zhang et al. 2021, arXiv 2110.04596.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// Those of [`ldam`](Self::ldam).
    pub fn ldam_all_classes(counts: &ClassCounts, max_m: f64, scale: f64) -> Result<Self> {
        let bias = scaled_margins(counts, max_m, scale)?.into_iter().map(|margin| -margin).collect();
        Ok(Self { scale, bias: Some(bias), ..Self::default() })
    }

    /// VS, the vector-scaling loss.
    ///
    /// ```text
    /// L_n = -log softmax( (n_j / n_max)^gamma z_j + tau log pi_j )_y
    /// ```
    /// `gamma`, the exponent of the temperature `(n_max / n_j)^gamma`: finite, at least 0; the authors' code
    /// 0.3. `tau`: finite, at least 0; the authors' code 1. `gamma` 0 is
    /// [`logit_adjusted_exact`](Self::logit_adjusted_exact), `tau` 0 is
    /// [`class_dependent_temperature`](Self::class_dependent_temperature).
    ///
    /// Deviation: the paper's general form has a class weight too, which the code leaves at 1: add
    /// [`with_class_weights`](Self::with_class_weights).
    ///
    /// Paper: Kini et al. 2021, arXiv 2103.01550.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and two columns of K.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for gamma and tau,
    /// [`Error::Statistics`](crate::Error::Statistics) for an empty class.
    pub fn vector_scaling(counts: &ClassCounts, gamma: f64, tau: f64) -> Result<Self> {
        let class_scale = Some(counts.inverse_temperatures(gamma)?);
        Ok(Self { class_scale, bias: Some(scaled_log_priors(counts, tau)?), ..Self::default() })
    }

    /// CDT, class-dependent temperatures.
    ///
    /// ```text
    /// L_n = -log softmax( z_j / a_j )_y ,   a_j = (n_max / n_j)^gamma
    /// ```
    /// `gamma`: finite, at least 0; 0 is cross-entropy. It is tuned per data set and the paper gives no one
    /// value; [`method::SOFTMAX`](crate::method::SOFTMAX) has 0.2. At test time use the plain logits.
    ///
    /// Paper: Ye et al. 2020, arXiv 2001.01385.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for gamma, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn class_dependent_temperature(counts: &ClassCounts, gamma: f64) -> Result<Self> {
        Ok(Self { class_scale: Some(counts.inverse_temperatures(gamma)?), ..Self::default() })
    }

    /// LWS, learnable weight scaling: cross-entropy on logits scaled by class.
    ///
    /// ```text
    /// L_n = -log softmax( f_j z_j )_y
    /// ```
    /// `scales` `f`, `[K]`: finite; the authors start at 1 and train them alone, in a second stage with
    /// class-balanced sampling. Their gradient is `dL/df_j = sum_n (dL/dv_nj) z_nj`, `v = f z`, which with this
    /// loss's gradient is `sum_n (dL/dz_nj) z_nj / f_j`.
    ///
    /// Paper: Kang et al. 2019, arXiv 1910.09217.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    /// Errors: [`check`](Self::check) refuses other scales and another length.
    pub fn learnable_scaling(scales: impl Into<Vec<f64>>) -> Self {
        Self { class_scale: Some(scales.into()), ..Self::default() }
    }
}

/// LDAM's margins in units of the scaled logit.
fn scaled_margins(counts: &ClassCounts, max_m: f64, scale: f64) -> Result<Vec<f64>> {
    parameter("scale", scale, scale > 0.0, "finite and above 0")?;
    Ok(counts.ldam_margins(max_m)?.into_iter().map(|margin| scale * margin).collect())
}
