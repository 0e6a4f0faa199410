//! The terms of a head that are more than one number.

/// How a row is normalised: `x / (max(|x|, eps) + offset)^power`, with the L2 norm.
///
/// A row of norm 0 stays 0. Where `|x|` is below `eps` the divisor is a constant, so the gradient is divided by the
/// same number: by `eps^power` with offset 0, as PyTorch's `normalize` does it. From `eps` on
/// ```text
/// dL/dx = (g - power x (x . g) / (|x| (|x| + offset))) / (|x| + offset)^power ,   g = dL/dx^
/// ```
/// whose second part is 0 at `x = 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RowNorm {
    /// The divisor's exponent. Finite, at least 0; 0 is no normalisation.
    pub power: f64,
    /// The floor of the norm. Finite, at least 0.
    pub eps: f64,
    /// What is added to the norm. Finite, at least 0; not 0 where `eps` is, or a row of 0 would have no value.
    pub offset: f64,
}

impl RowNorm {
    /// `x` as it is.
    pub fn none() -> Self {
        Self { power: 0.0, eps: 1e-12, offset: 0.0 }
    }

    /// `x / max(|x|, 1e-12)`: PyTorch's `normalize`.
    pub fn unit() -> Self {
        Self::power(1.0)
    }

    /// `x / max(|x|, 1e-12)^tau`.
    pub fn power(tau: f64) -> Self {
        Self { power: tau, eps: 1e-12, offset: 0.0 }
    }

    /// `x / (|x| + offset)`. With offset 1 OLTR's squash, which keeps the direction and brings the norm into
    /// `[0, 1)`.
    pub fn offset(offset: f64) -> Self {
        Self { power: 1.0, eps: 0.0, offset }
    }
}

/// What a normalised row of features `a` and one of weights `b` make, summed over the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Similarity {
    /// `a . b`. The default.
    #[default]
    Dot,
    /// `-|a - b|^2`.
    NegativeSquaredDistance,
}

/// What a learned scale `f_j` multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ClassScale {
    /// There is none. The default.
    #[default]
    None,
    /// `z_j = f_j scale t_j + b_j`: the class weights, as the paper on decoupling states it.
    Weights,
    /// `z_j = f_j (scale t_j + b_j)`: the logits with their bias, as its code does it.
    Logits,
}

/// The label's margin: what becomes of its similarity `c` in training, before the scale.
///
/// Needs hard labels: with two labels, or soft ones, a row has not one label whose logit changes. (An additive margin
/// by class that works for two labels is [`SoftmaxLoss::margin`](crate::SoftmaxLoss::margin).)
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TargetMargin {
    /// `c`. The default.
    #[default]
    None,
    /// `c - m` (CosFace).
    Cosine {
        /// `m`: finite, at least 0.
        margin: f64,
    },
    /// `cos(theta + m)` with `c = cos(theta)` (ArcFace). Needs unit rows of features and weights, in one part, and
    /// their dot product.
    Angle {
        /// `m`, in radians: in `[0, pi]`.
        margin: f64,
        /// What it is where `theta + m` exceeds pi.
        beyond: Beyond,
        /// What its gradient is.
        gradient: MarginGradient,
    },
}

/// Where the angular margin applies: `cos(theta + m)` rises again beyond pi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Beyond {
    /// `cos(theta) - m sin(m)` where `theta + m` is not below pi, that is `cos(theta) <= cos(pi - m)`. The default.
    #[default]
    Linear,
    /// `cos(theta)` where it is not above 0: the margin only for angles below a right one ("easy margin").
    Easy,
    /// `cos(theta + m)` everywhere.
    Nothing,
}

/// The gradient of the angular margin by the cosine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MarginGradient {
    /// `cos(m) + sin(m) cos(theta) / max(sin(theta), SINE_FLOOR)`; see [`SINE_FLOOR`]. The default.
    #[default]
    Exact,
    /// 1: the margin is a constant shift, as code computes it that applies it outside of the gradient.
    StraightThrough,
}

/// The least sine that the angular margin's gradient divides by: 1e-3, an angle of 0.06 degrees.
///
/// `d cos(theta + m) / d cos(theta)` grows without bound as the angle shrinks, while the gradient by features and
/// weights stays bounded: their part across the row shrinks with `sin(theta)`. Below this floor the difference of the
/// two is rounding in f32.
pub const SINE_FLOOR: f64 = 1e-3;
