//! The same specs in f64 on the CPU: the oracle that the kernels are measured against.
//!
//! Written from the papers' formulas, one small function per term, in plain two-pass form. It is meant to be
//! read and to be right, not to be fast: it allocates a few rows of K numbers per row and runs on one thread.
//! It needs no GPU, so it also serves as a fallback and as a way to try a combination of terms out.

mod distillation;
mod grouped;
mod head;
mod head_terms;
mod lade;
mod objectness;
mod range_loss;
mod rows;
mod shared;
mod sigmoid;
mod sigmoid_weights;
mod softmax;
mod softmax_link;
mod terms;
mod tree;

pub use distillation::{DistillationOutput, distillation};
pub use grouped::{GroupedOutput, grouped, grouped_scores};
pub use head::{HeadOutput, Predictions, head, logits, predict};
pub use lade::{LadeOutput, lade};
pub use objectness::{ObjectnessOutput, objectness, objectness_scores};
pub use range_loss::{RangeOutput, range};
pub use sigmoid::{SigmoidOutput, sigmoid, sigmoid_scores, sigmoid_weights};
pub use softmax::softmax;
pub use tree::{Decision, early_exit, leaf_scores};

/// What a loss of the softmax family gives for one batch, in f64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Output {
    /// The reduced loss. Upstream factors are not in it.
    pub loss: f64,
    /// `[N]`: each row's loss `L_n` with its weights, not divided by the denominator; 0 for ignored rows.
    pub row_loss: Vec<f64>,
    /// `[N, K]`: `d loss / d logits` times the upstream factor; the denominator is in it.
    pub gradient: Vec<f64>,
    /// `[N]`: `logsumexp(u)`; for two labels that of the first one that is not ignored; 0 for ignored rows.
    pub log_sum_exp: Vec<f64>,
    /// `[N]`: the probability of the label under `u` (the same label as for
    /// [`log_sum_exp`](Self::log_sum_exp)); NaN for soft targets, 0 for ignored rows.
    pub target_probability: Vec<f64>,
    /// `[N]`: the class of the largest raw logit, the lowest such class on ties; for ignored rows too.
    pub argmax: Vec<u32>,
    /// `[K]`: `d loss / d class_scale_j = sum_n dL/du_nj scale z_nj`, with denominator and upstream factor,
    /// also when the spec has no `class_scale` (all ones). Masked elements contribute nothing.
    pub class_scale_gradient: Vec<f64>,
    /// `[K]`: seesaw's counts after the batch; `None` without seesaw.
    pub counts: Option<Vec<u64>>,
}

/// `log(sum_j exp(values_j))`, by the maximum first: no overflow, and exact to a few units in the last place.
/// `-inf` without values or with nothing but `-inf`; NaN with a NaN.
///
/// ```
/// use longtail::reference::log_sum_exp;
/// assert!((log_sum_exp(&[1000.0, 1000.0]) - (1000.0 + 2f64.ln())).abs() < 1e-12);
/// assert_eq!(log_sum_exp(&[f64::NEG_INFINITY]), f64::NEG_INFINITY);
/// ```
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let maximum = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    if maximum.is_infinite() {
        return maximum;
    }
    maximum + values.iter().map(|value| (value - maximum).exp()).sum::<f64>().ln()
}

/// The position of the largest value, the lowest one on ties; NaN is never larger. `None` without values.
///
/// ```
/// assert_eq!(longtail::reference::argmax(&[0.5, 2.0, 2.0]), Some(1));
/// ```
pub fn argmax(values: &[f64]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (position, &value) in values.iter().enumerate() {
        if best.is_none_or(|(_, largest)| value > largest) {
            best = Some((position, value));
        }
    }
    best.map(|(position, _)| position)
}
