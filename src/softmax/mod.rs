//! The softmax family as plain data: a set of independent terms.
//!
//! [`SoftmaxLoss`] is the normal form; [`terms`](self) holds the terms that are more than a number or a
//! column; the papers' methods are the named constructors on [`SoftmaxLoss`].

mod check;
mod methods;
pub mod mixing;
mod terms;

pub use methods::SmoothingShape;
pub use terms::{Focal, Gate, GateSource, Influence, Seesaw};

use crate::{ClassCounts, Reduction, Result};

/// A loss of the softmax family: what to compute, with every number in it and nothing about how.
///
/// Made by a named constructor ([`cross_entropy`](Self::cross_entropy), [`balanced`](Self::balanced),
/// [`seesaw`](Self::seesaw), ...) and changed by `with_` methods or directly: every field is public, and
/// any combination of terms is exact unless [`check`](Self::check) says why it has no meaning.
///
/// Formula, for a row with logits `z` and label `y` (`v`, `u` in nats, `j` over the K classes):
/// ```text
/// v_j = scale * class_scale_j * z_j + bias_j
/// u_j = v_j - margin_y [j = y]
///           + [j != y] ( p min(0, log n_j - log n_y) + q max(0, v_j - t) )      seesaw
/// u_j = -inf for gated j != y                                                   equalization
/// l   = logsumexp(u) - u_y ,   prob = exp(-l)
/// F   = w_y (1 - prob)^gamma l                                                  focal
/// L_n = w_n [ (1 - e_y) F + (e_y / K) sum_j w_j (logsumexp(u) - u_j) + z_loss logsumexp(u)^2 ]
/// ```
/// `n_j`, `t`, gates, weights, margins and biases are constants in the gradient; the gradient in `u` is
/// `w_n [ (1 - e_y) F'(l) (q - onehot) + ... ]`, `q = softmax(u)`, and `dL/dz_j = scale class_scale_j dL/du_j`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SoftmaxLoss {
    /// Multiplies every logit; 1/temperature. Finite, above 0. Default 1.
    pub scale: f64,
    /// `[K]`: multiplies each class's logits (VS, CDT, learnable logit scaling). Finite. Absent: 1.
    pub class_scale: Option<Vec<f64>>,
    /// `[K]`: added to each class's scaled logits. Below +inf; `-inf` takes the class out. Absent: 0.
    pub bias: Option<Vec<f64>>,
    /// `[K]`: subtracted from the target's `v` only, in units of `u` (after scaling). Finite. Absent: 0.
    pub margin: Option<Vec<f64>>,
    /// Equalization's gates. Absent: every class takes part.
    pub gate: Option<Gate>,
    /// Seesaw's mitigation and compensation. Absent: neither.
    pub seesaw: Option<Seesaw>,
    /// The focal modulator. Absent: 1.
    pub focal: Option<Focal>,
    /// Influence balancing. Absent: 1.
    pub influence: Option<Influence>,
    /// `[K]`: the class weights `w`. Finite, at least 0. Absent: 1.
    pub class_weights: Option<Vec<f64>>,
    /// Label smoothing `e` in `[0, 1]`, PyTorch's semantics with class weights. Default 0.
    pub label_smoothing: f64,
    /// `[K]`: label smoothing `e_y` by the row's label, in `[0, 1]` (label-aware smoothing). Absent: the
    /// same for all, [`label_smoothing`](Self::label_smoothing).
    pub class_smoothing: Option<Vec<f64>>,
    /// The factor of `logsumexp(u)^2`. Finite, at least 0. Default 0.
    pub z_loss: f64,
    /// The label of rows that do not count. Default `Some(-100)`, PyTorch's.
    pub ignore_index: Option<i32>,
    /// How the rows become one number. Default [`Reduction::WeightedMean`], PyTorch's.
    pub reduction: Reduction,
}

impl Default for SoftmaxLoss {
    /// Plain cross-entropy.
    fn default() -> Self {
        Self {
            scale: 1.0,
            class_scale: None,
            bias: None,
            margin: None,
            gate: None,
            seesaw: None,
            focal: None,
            influence: None,
            class_weights: None,
            label_smoothing: 0.0,
            class_smoothing: None,
            z_loss: 0.0,
            ignore_index: Some(-100),
            reduction: Reduction::WeightedMean,
        }
    }
}

/// Changes that go with every method.
impl SoftmaxLoss {
    /// Sets the class weights `w_j`, `[K]`.
    #[must_use]
    pub fn with_class_weights(mut self, weights: Vec<f64>) -> Self {
        self.class_weights = Some(weights);
        self
    }

    /// Sets label smoothing `e` in `[0, 1]` (Szegedy et al. 2016, arXiv 1512.00567), with PyTorch's use of
    /// class weights: `(1 - e) w_y l + (e / K) sum_j w_j (-log q_j)`.
    #[must_use]
    pub fn with_label_smoothing(mut self, smoothing: f64) -> Self {
        self.label_smoothing = smoothing;
        self
    }

    /// Divides every logit by `temperature` (finite, above 0), on top of the scale already set.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.scale /= temperature;
        self
    }

    /// Adds `factor * logsumexp(u)^2` to each row's loss (PaLM, 2022, arXiv 2204.02311, uses 1e-4).
    #[must_use]
    pub fn with_z_loss(mut self, factor: f64) -> Self {
        self.z_loss = factor;
        self
    }

    /// Sets the focal modulator.
    #[must_use]
    pub fn with_focal(mut self, focal: Focal) -> Self {
        self.focal = Some(focal);
        self
    }

    /// Sets the label of rows that do not count; `None`: every row counts.
    #[must_use]
    pub fn with_ignore_index(mut self, index: Option<i32>) -> Self {
        self.ignore_index = index;
        self
    }

    /// Sets the reduction.
    #[must_use]
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Sets the step of the gates' generator; nothing without gates.
    #[must_use]
    pub fn with_step(mut self, step: u64) -> Self {
        if let Some(gate) = &mut self.gate {
            gate.step = step;
        }
        self
    }

    /// Switches deferred re-weighting on: class weights by effective number, normalised to sum K
    /// (Cao et al. 2019, arXiv 1906.07413; their code uses `beta` 0.9999 from epoch 160 of 200 on, and all
    /// ones before). On a [`Plan`](crate::gpu::Plan) this is an update of numbers, never a recompilation.
    ///
    /// # Errors
    /// Those of [`ClassCounts::effective_weights`].
    pub fn with_deferred_reweighting(self, counts: &ClassCounts, beta: f64) -> Result<Self> {
        Ok(self.with_class_weights(counts.effective_weights(beta)?))
    }
}
