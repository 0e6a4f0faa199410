//! The sigmoid family as plain data: a binary question for every row and class.
//!
//! [`SigmoidLoss`] is the normal form; [`terms`](self) holds the terms that are more than a number or a
//! column; the papers' methods are the named constructors on [`SigmoidLoss`].
//!
//! # What each method needs
//! Besides logits and targets: numbers for each column, one number for each row from its targets alone, and what depends on
//! the element's own logit or on draws. `t` are the targets, `w_j` weights, `n_j` counts, `v` the scaled and biased logit.
//!
//! | constructor | columns, `[K]` | per row | per element | divided by |
//! |---|---|---|---|---|
//! | [`bce`](SigmoidLoss::bce) | | | | N K |
//! | [`focal`](SigmoidLoss::focal), [`multi_label_focal`](SigmoidLoss::multi_label_focal) | | | focal | N K |
//! | [`class_balanced`](SigmoidLoss::class_balanced) | `w` | `sum_k t_k w_k / sum_k t_k` | | positives |
//! | [`class_balanced_port`](SigmoidLoss::class_balanced_port) | `w` | `sum_k t_k w_k / sum_k t_k` | | N K |
//! | [`class_balanced_focal`](SigmoidLoss::class_balanced_focal) | `w` | `sum_k t_k w_k / sum_k t_k` | focal | positives |
//! | [`class_balanced_on_softmax`](SigmoidLoss::class_balanced_on_softmax) | `w` | the same; `logsumexp(z)`, `sum_k d_k p_k` | | N K |
//! | [`balanced`](SigmoidLoss::balanced) | bias | object or background | | N |
//! | [`equalization`](SigmoidLoss::equalization) | tail | object or background | | N |
//! | [`equalization_v2`](SigmoidLoss::equalization_v2) | `P`, `Q` from gradient sums | | | N |
//! | [`adaptive_suppression`](SigmoidLoss::adaptive_suppression) | group | object or background; which groups it was drawn for | `sigmoid(v) >= threshold` | N |
//! | [`rebalanced`](SigmoidLoss::rebalanced) | `1 / n` | `sum_k t_k / n_k` | | N K |
//! | [`distribution_balanced`](SigmoidLoss::distribution_balanced) | `1 / n`, bias | `sum_k t_k / n_k` | focal | N K |
//! | [`inverse_prevalence`](SigmoidLoss::inverse_prevalence) | `w` | | | N K |
//! | [`effective_number`](SigmoidLoss::effective_number) | `w` or `n` | nothing, `sum_k t_k w_k / sum_k t_k`, `sum_k t_k n_k / sum_k t_k`, or `min_k(t_k n_k + (1 - t_k) absent)` | | N K |
//! | [`multi_label_class_balanced`](SigmoidLoss::multi_label_class_balanced) | `w` | | | N K |
//! | [`multi_label_equalization`](SigmoidLoss::multi_label_equalization) | tail | | a draw | N K |
//! | [`multi_label_ldam`](SigmoidLoss::multi_label_ldam) | margin, perhaps `w` | `sum_k t_k margin_k` | | N K |
//!
//! Besides: gradient sums are two sums over the rows for each column; [`WeightNorm::Row`] divides by a function of columns and
//! of the row's number, since at most one of column weights and re-balancing goes with it, and [`WeightNorm::Batch`] by the
//! largest of these over the rows.

mod check;
mod methods;
mod terms;

pub use crate::softmax::{Focal, Gate, GateSource};
pub use methods::{EffectiveMode, prior_bias};
pub use terms::{Background, GradientBalance, Link, Margin, Rebalance, RowWeight, Suppression, WeightNorm};

use crate::statistics::GradientSums;
use crate::{Reduction, Result};

/// A loss of the sigmoid family: what to compute, with every number in it and nothing about how.
///
/// Made by a named constructor ([`bce`](Self::bce), [`equalization_v2`](Self::equalization_v2),
/// [`distribution_balanced`](Self::distribution_balanced), ...) and changed by `with_` methods or directly: every
/// field is public, and any combination of terms is exact unless [`check`](Self::check) says why it has no meaning.
///
/// Formula, for logits `z`, `[N, K]`, and targets `t` in `[0, 1]`, `[N, K]`: multi-hot targets, or `t_nj = 1[j = y_n]`
/// for a label. `w_n` is the batch's row weight.
/// ```text
/// v_nj = scale z_nj + bias_j
/// a_nj = t_nj + (1 - t_nj) negative_scale
/// u_nj = a_nj (v_nj - margin_nj [t_nj > 0])                                           margin
/// e_nj = positive_weight_j t_nj softplus(-u_nj) + (1 - t_nj) softplus(u_nj)           binary cross-entropy
/// f_nj = ( t_nj (1 - s_nj) + (1 - t_nj) s_nj )^gamma ,   s = sigmoid(u)               focal
/// W_nj = ( class_weights_j rho_n R_nj / norm )                                        columns, rows, re-balancing
///        ( t_nj positive_factor + (1 - t_nj) negative_factor )
///        ( t_nj + (1 - t_nj) / negative_scale )
///        ( t_nj P_j + (1 - t_nj) Q_j )                                                gradient balance
///        ( t_nj + (1 - t_nj) keep_nj )                                                gates, suppression
///        given_nj
/// L_n  = w_n sum_j W_nj f_nj e_nj
/// ```
/// `W` and the margins are constants in the gradient, which is
/// `dL_n / dz_nj = w_n W_nj scale a_nj ( f_nj [ (1 - t) s - positive_weight_j t (1 - s) ] + df_nj/du_nj e_nj )` with
/// `df/du = gamma f (1 - 2t) / ( t / s + (1 - t) / (1 - s) )`.
///
/// A logit of `-inf` masks a class of a row: as a negative it costs nothing, as a positive infinity (its gradient stays
/// finite). A NaN or `+inf` logit is refused.
///
/// What a pass over a row needs besides its logits and targets: columns `[K]`; per row, from its targets alone,
/// `sum_k t_k`, `sum_k t_k w_k`, `sum_k t_k n_k`, `min_k` of the counts, `sum_k t_k / n_k` and `sum_k t_k m_k` (one of
/// them, or none); for the batch, one largest weight ([`WeightNorm::Batch`]) and the drawn background rows
/// ([`Suppression`]).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SigmoidLoss {
    /// How a logit becomes a probability. Default [`Link::Sigmoid`].
    pub link: Link,
    /// Multiplies every logit. Finite, above 0. Default 1.
    pub scale: f64,
    /// `[K]`: added to each class's scaled logits. Below +inf; `-inf` takes the class out. Absent: 0.
    pub bias: Option<Vec<f64>>,
    /// Whether background rows get the bias as well. Default true.
    pub bias_on_background: bool,
    /// Shifts the positives. Absent: 0.
    pub margin: Option<Margin>,
    /// Multiplies `v` of negatives and divides their weight (negative-tolerant regularisation). Finite, above 0.
    /// Default 1.
    pub negative_scale: f64,
    /// `[K]`: multiplies the positive part of the cross-entropy (PyTorch's `pos_weight`). Finite, at least 0. Absent: 1.
    pub positive_weight: Option<Vec<f64>>,
    /// `[K]`: each column's weight. Finite, at least 0. Absent: 1.
    pub class_weights: Option<Vec<f64>>,
    /// Each row's weight, from its positives. Absent: 1.
    pub row_weight: Option<RowWeight>,
    /// Re-balanced weights. Absent: 1.
    pub rebalance: Option<Rebalance>,
    /// What the product of the three weights above is divided by. Default [`WeightNorm::None`].
    pub weight_norm: WeightNorm,
    /// Multiplies positives. Finite, at least 0. Default 1.
    pub positive_factor: f64,
    /// Multiplies negatives. Finite, at least 0. Default 1.
    pub negative_factor: f64,
    /// Weights from accumulated gradients. Absent: 1.
    pub gradient_balance: Option<GradientBalance>,
    /// Gates: a gated negative does not count, `keep_nj = 0`, except in background rows. Absent: all count.
    pub gate: Option<Gate>,
    /// Which negatives count, by their score and by drawn rows. Absent: all count.
    pub suppression: Option<Suppression>,
    /// Whether the batch's gates, `[N, K]`, are weights of every element: finite, at least 0. Default false.
    pub given_weights: bool,
    /// The focal modulator. Absent: 1. [`Focal::weight_inside`] has no meaning here and is refused.
    pub focal: Option<Focal>,
    /// How background rows are labelled. Absent: there are none. Rows of multi-hot targets are never background.
    pub background: Option<Background>,
    /// The label of rows that do not count. Default `Some(-100)`.
    pub ignore_index: Option<i32>,
    /// How the rows become one number. Default [`Reduction::Elements`], PyTorch's mean.
    pub reduction: Reduction,
}

impl Default for SigmoidLoss {
    /// Plain binary cross-entropy.
    fn default() -> Self {
        Self {
            link: Link::Sigmoid,
            scale: 1.0,
            bias: None,
            bias_on_background: true,
            margin: None,
            negative_scale: 1.0,
            positive_weight: None,
            class_weights: None,
            row_weight: None,
            rebalance: None,
            weight_norm: WeightNorm::None,
            positive_factor: 1.0,
            negative_factor: 1.0,
            gradient_balance: None,
            gate: None,
            suppression: None,
            given_weights: false,
            focal: None,
            background: None,
            ignore_index: Some(-100),
            reduction: Reduction::Elements,
        }
    }
}

/// Changes that go with every method.
impl SigmoidLoss {
    /// Sets each column's weight, `[K]`.
    #[must_use]
    pub fn with_class_weights(mut self, weights: Vec<f64>) -> Self {
        self.class_weights = Some(weights);
        self
    }

    /// Sets the rows' weight.
    #[must_use]
    pub fn with_row_weight(mut self, weight: RowWeight) -> Self {
        self.row_weight = Some(weight);
        self
    }

    /// Sets re-balanced weights.
    #[must_use]
    pub fn with_rebalance(mut self, rebalance: Rebalance) -> Self {
        self.rebalance = Some(rebalance);
        self
    }

    /// Sets what the weights of columns, rows and re-balancing are divided by.
    #[must_use]
    pub fn with_weight_norm(mut self, norm: WeightNorm) -> Self {
        self.weight_norm = norm;
        self
    }

    /// Sets the weight of the positive part, `[K]` (PyTorch's `pos_weight`).
    #[must_use]
    pub fn with_positive_weight(mut self, weights: Vec<f64>) -> Self {
        self.positive_weight = Some(weights);
        self
    }

    /// Sets the factors of positives and of negatives.
    #[must_use]
    pub fn with_factors(mut self, positive: f64, negative: f64) -> Self {
        self.positive_factor = positive;
        self.negative_factor = negative;
        self
    }

    /// Sets the bias of the scaled logits, `[K]`.
    #[must_use]
    pub fn with_bias(mut self, bias: Vec<f64>) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Sets the focal modulator.
    #[must_use]
    pub fn with_focal(mut self, focal: Focal) -> Self {
        self.focal = Some(focal);
        self
    }

    /// Sets the gates.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Takes a weight for every element from the batch's gates, `[N, K]`, or not.
    #[must_use]
    pub fn with_given_weights(mut self, given: bool) -> Self {
        self.given_weights = given;
        self
    }

    /// Sets how background rows are labelled; `None`: there are none.
    #[must_use]
    pub fn with_background(mut self, background: Option<Background>) -> Self {
        self.background = background;
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

    /// Sets the step of the generator behind gates and drawn rows; nothing without them.
    #[must_use]
    pub fn with_step(mut self, step: u64) -> Self {
        if let Some(gate) = &mut self.gate {
            gate.step = step;
        }
        if let Some(suppression) = &mut self.suppression {
            suppression.step = step;
        }
        self
    }

    /// Adds a batch's gradient sums to those that the weights come from (equalization v2's step, once the sums of all
    /// replicas have been added up).
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing) without gradient balance, [`Error::Length`](crate::Error::Length) for
    /// another number of classes.
    pub fn add_gradients(&mut self, batch: &GradientSums) -> Result<()> {
        match &mut self.gradient_balance {
            Some(balance) => balance.sums.add(batch),
            None => {
                Err(crate::Error::Missing { what: "gradient balance", needed_by: "adding gradient sums" })
            }
        }
    }

    /// How many columns the logits have for `classes` classes of objects: one more with a
    /// [background column](Background::Column).
    pub fn columns(&self, classes: usize) -> usize {
        classes + usize::from(matches!(self.background, Some(Background::Column(_))))
    }
}
