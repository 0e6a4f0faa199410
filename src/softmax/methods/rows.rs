//! Methods whose smoothing or weight depends on the row: label-aware smoothing, influence balancing.

use std::f64::consts::FRAC_PI_2;

use super::{ClassCounts, Focal, Normalisation, Reduction, Result, SoftmaxLoss, parameter};
use crate::softmax::Influence;

/// How label-aware smoothing goes from the tail's value to the head's; `x = (n_y - n_min) / (n_max - n_min)`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SmoothingShape {
    /// `e = tail + (head - tail) sin(pi x / 2)`: the default of the authors' code.
    #[default]
    Concave,
    /// `e = tail + (head - tail) x`.
    Linear,
    /// `e = tail + (head - tail) (1 - cos(pi x / 2))`.
    Convex,
    /// `e = tail + (head - tail) x^a`, `a` finite and above 0.
    Power(f64),
}

impl SmoothingShape {
    /// The share of the way from tail to head for `x` in `[0, 1]`.
    fn share(self, x: f64) -> f64 {
        match self {
            SmoothingShape::Concave => (FRAC_PI_2 * x).sin(),
            SmoothingShape::Linear => x,
            SmoothingShape::Convex => 1.0 - (FRAC_PI_2 * x).cos(),
            SmoothingShape::Power(exponent) => x.powf(exponent),
        }
    }
}

/// Label-aware smoothing and influence balancing.
impl SoftmaxLoss {
    /// Label-aware smoothing, the second stage of MiSLAS.
    ///
    /// ```text
    /// L_n = (1 - e_y) (-log p_y) + (e_y / K) sum_j (-log p_j)
    /// ```
    /// `head`, `tail`, in `[0, 1]`: the smoothing of the largest and of the smallest class; the authors'
    /// configurations have 0.3 and 0 (CIFAR-10-LT, ImageNet-LT) or 0.4 and 0.1 (CIFAR-100-LT).
    /// `shape`: how `e` follows the count between; [`SmoothingShape::Concave`] in the authors' code.
    ///
    /// Where all counts are equal (0 / 0 in the code) every class has `tail`. The paper's equation gives
    /// the target `1 - e_y + e_y / K` and the others `e_y / K`, which is this.
    ///
    /// Paper: Zhong et al. 2021, arXiv 2104.00466.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), and one column of K.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for `head`, `tail` and the shape's exponent.
    pub fn label_aware_smoothing(
        counts: &ClassCounts,
        head: f64,
        tail: f64,
        shape: SmoothingShape,
    ) -> Result<Self> {
        parameter("the head's smoothing", head, (0.0..=1.0).contains(&head), "in [0, 1]")?;
        parameter("the tail's smoothing", tail, (0.0..=1.0).contains(&tail), "in [0, 1]")?;
        if let SmoothingShape::Power(exponent) = shape {
            parameter("the smoothing's exponent", exponent, exponent > 0.0, "finite and above 0")?;
        }
        let span = (counts.max() - counts.min()).max(1) as f64;
        let smoothing = |&count: &u64| {
            let x = (count - counts.min()) as f64 / span;
            tail + (head - tail) * shape.share(x)
        };
        let smoothing = counts.counts().iter().map(smoothing).collect();
        Ok(Self { class_smoothing: Some(smoothing), ..Self::default() })
    }

    /// Influence-balanced loss, as the authors' code computes it.
    ///
    /// ```text
    /// L_n = w_y (-log p) alpha / (|softmax(z) - onehot(y)|_1 |h|_1 + 1e-3) ,   w_j ~ 1 / n_j ,   sum_j w_j = K
    /// |softmax(z) - onehot(y)|_1 = 2 (1 - p) ,   sum_n L_n / N
    /// ```
    /// The batch brings `|h|_1`, `[N]`, the L1 norm of the features before the last layer
    /// ([`Batch::with_feature_norms`](crate::Batch::with_feature_norms)); it is a constant in the gradient.
    /// `alpha`: finite, above 0; the authors' code 1000. The authors train with plain cross-entropy first and
    /// switch at epoch 100 of 200.
    ///
    /// Deviation: the paper presents the factor as a weight; the code lets the gradient flow through it, and
    /// so does this ([`influence_balanced_detached`](Self::influence_balanced_detached) does not). The
    /// factor reaches `1000 alpha` for a row with `p` near 1.
    ///
    /// Paper: Park et al. 2021, arXiv 2110.02444.
    /// Cost: 8 to 12 bytes per f32 logit as [`cross_entropy`](Self::cross_entropy), one column of K, 4 bytes
    /// per row.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for alpha, [`Error::Statistics`](crate::Error::Statistics)
    /// for an empty class.
    pub fn influence_balanced(counts: &ClassCounts, alpha: f64) -> Result<Self> {
        parameter("influence alpha", alpha, alpha > 0.0, "finite and above 0")?;
        Ok(Self {
            influence: Some(Influence { alpha, eps: 1e-3, detached: false }),
            class_weights: Some(counts.inverse_frequency(1.0, Normalisation::SumToClasses)?),
            reduction: Reduction::Mean,
            ..Self::default()
        })
    }

    /// Influence-balanced loss as the paper reads: the factor is a weight, a constant in the gradient.
    ///
    /// ```text
    /// L_n = w_y (-log p) c_n ,   c_n = alpha / (2 (1 - p) |h|_1 + 1e-3) held fixed
    /// ```
    /// Loss value, parameters, inputs, paper and cost as [`influence_balanced`](Self::influence_balanced).
    ///
    /// # Errors
    /// Those of [`influence_balanced`](Self::influence_balanced).
    pub fn influence_balanced_detached(counts: &ClassCounts, alpha: f64) -> Result<Self> {
        let mut loss = Self::influence_balanced(counts, alpha)?;
        if let Some(influence) = &mut loss.influence {
            influence.detached = true;
        }
        Ok(loss)
    }

    /// Influence-balanced focal loss, the second loss of the authors' code.
    ///
    /// ```text
    /// l_n = w_y (-log p) ,   L_n = (1 - exp(-l_n))^gamma l_n alpha / (2 (1 - p) |h|_1 + 1e-3) ,   sum_n L_n / N
    /// ```
    /// `gamma`: finite, at least 0. The class weight stands inside the modulator and the gradient flows through
    /// all factors, as in the code. The rest as [`influence_balanced`](Self::influence_balanced).
    ///
    /// Paper: Park et al. 2021, arXiv 2110.02444.
    ///
    /// # Errors
    /// Those of [`influence_balanced`](Self::influence_balanced), and
    /// [`Error::Parameter`](crate::Error::Parameter) for gamma.
    pub fn influence_balanced_focal(counts: &ClassCounts, alpha: f64, gamma: f64) -> Result<Self> {
        parameter("focal gamma", gamma, gamma >= 0.0, "finite and at least 0")?;
        let focal = Focal { gamma, detached: false, weight_inside: true };
        Ok(Self::influence_balanced(counts, alpha)?.with_focal(focal))
    }
}
