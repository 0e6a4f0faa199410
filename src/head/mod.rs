//! Classifier heads as plain data: how features and class weights become logits.
//!
//! [`Head`] is the normal form, [`HeadLoss`] a head in front of a [`SoftmaxLoss`]; the papers' heads are the named
//! constructors on [`Head`]. Features, weights, biases and learned scales are tensors and come with each batch
//! ([`HeadInput`], [`HeadBatch`]); the spec only says which there are.

mod batch;
mod check;
mod inference;
mod means;
mod methods;
mod terms;

pub use batch::{HeadBatch, HeadInput};
pub use inference::{Effect, Inference};
pub use means::{RunningMean, class_means};
pub use terms::{Beyond, ClassScale, MarginGradient, RowNorm, SINE_FLOOR, Similarity, TargetMargin};

use crate::SoftmaxLoss;

/// A classifier head: what stands between features and logits, with every number in it and nothing about how.
///
/// Made by a named constructor ([`linear`](Self::linear), [`cosine`](Self::cosine), [`causal`](Self::causal), ...)
/// and changed by `with_` methods or directly: every field is public, and any combination is exact unless
/// [`check`](Self::check) says why it has no meaning.
///
/// Formula, for features `x` `[N, D]` and weights `w` `[K, D]`, each row cut into `parts` equal parts `h`:
/// ```text
/// x^_nh = (x_nh - c_h) / (max(|x_nh - c_h|, eps) + offset)^power        features; c where `centred`
/// w^_jh = w_jh / (max(|w_jh|, eps) + offset)^power                      weights
/// d_nj  = sum_h x^_nh . w^_jh     or     -sum_h |x^_nh - w^_jh|^2       similarity
/// t_nj  = m(d_nj) where j = y, else d_nj                                margin
/// z_nj  = f_j scale t_nj + b_j    or     f_j (scale t_nj + b_j)         class scale, bias
/// ```
/// `|.|` is the L2 norm. Gradients go to `x`, `w`, `b`, `f` and `scale`; `c` is a constant.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Head {
    /// Into how many equal parts the rows are cut, each normalised on its own (the causal classifier's heads). At
    /// least 1, a divisor of D. Default 1.
    pub parts: usize,
    /// How the features' rows are normalised. Default not.
    pub features: RowNorm,
    /// How the weights' rows are normalised. Default not.
    pub weights: RowNorm,
    /// What a normalised row of features and one of weights make. Default their dot product.
    pub similarity: Similarity,
    /// Multiplies the similarities; 1/temperature. Finite, above 0. Default 1.
    pub scale: f64,
    /// What happens to the label's similarity in training. Default nothing.
    pub margin: TargetMargin,
    /// Whether each class has a bias. Default no.
    pub bias: bool,
    /// Whether each class has a learned scale, and what it multiplies. Default none.
    pub class_scale: ClassScale,
    /// Whether a vector `[D]` is subtracted from the features first. Default no.
    pub centred: bool,
}

impl Default for Head {
    /// [`Head::linear`] without bias.
    fn default() -> Self {
        Self {
            parts: 1,
            features: RowNorm::none(),
            weights: RowNorm::none(),
            similarity: Similarity::Dot,
            scale: 1.0,
            margin: TargetMargin::None,
            bias: false,
            class_scale: ClassScale::None,
            centred: false,
        }
    }
}

/// Changes that go with every head.
impl Head {
    /// Adds a bias for each class, after scale and margin.
    #[must_use]
    pub fn with_bias(mut self) -> Self {
        self.bias = true;
        self
    }

    /// Sets the scale.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// Sets the label's margin.
    #[must_use]
    pub fn with_margin(mut self, margin: TargetMargin) -> Self {
        self.margin = margin;
        self
    }
}

/// A head and the loss on its logits: from features, weights and targets to a loss and all their gradients.
///
/// The loss sees the logits `z` after the head, the label's margin included.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HeadLoss {
    /// From features to logits.
    pub head: Head,
    /// From logits to the loss.
    pub loss: SoftmaxLoss,
}

impl HeadLoss {
    /// A head in front of a loss.
    ///
    /// ```
    /// use longtail::head::{Head, HeadLoss};
    /// use longtail::{ClassCounts, SoftmaxLoss};
    /// // LDAM as it was published: cosine logits, whose scale of 30 is the loss's.
    /// let counts = ClassCounts::new([100, 10, 1])?;
    /// let ldam = HeadLoss::new(Head::cosine(1.0), SoftmaxLoss::ldam(&counts, 0.5, 30.0)?);
    /// assert_eq!(ldam.loss.scale, 30.0);
    /// # Ok::<(), longtail::Error>(())
    /// ```
    pub fn new(head: Head, loss: SoftmaxLoss) -> Self {
        Self { head, loss }
    }
}
