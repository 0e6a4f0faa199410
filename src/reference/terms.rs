//! The terms of the normal form, each in a function of its own. `f64::NEG_INFINITY` marks a class that takes
//! no part.

use super::log_sum_exp;
use crate::SoftmaxLoss;
use crate::softmax::{Focal, Gate, GateSource, Influence, Seesaw};

/// The value of a per-class column, or `absent` without one.
pub(super) fn at(column: &Option<Vec<f64>>, class: usize, absent: f64) -> f64 {
    column.as_ref().and_then(|values| values.get(class)).copied().unwrap_or(absent)
}

/// `weight * value`, where a weight of 0 also silences an infinite value.
pub(super) fn weighted(weight: f64, value: f64) -> f64 {
    match weight {
        0.0 => 0.0,
        _ => weight * value,
    }
}

/// `v_j = scale class_scale_j z_j + bias_j`; a masked logit stays masked whatever the sign of its scale.
/// VS (Kini et al. 2021, arXiv 2103.01550) and CDT (Ye et al. 2020, arXiv 2001.01385) scale by class; balanced
/// softmax (Ren et al. 2020, arXiv 2007.10740) and logit adjustment (Menon et al. 2020, arXiv 2007.07314) add
/// a bias.
pub(super) fn adjusted(spec: &SoftmaxLoss, logits: &[f64]) -> Vec<f64> {
    let adjust = |(class, &logit): (usize, &f64)| match logit {
        f64::NEG_INFINITY => f64::NEG_INFINITY,
        _ => spec.scale * at(&spec.class_scale, class, 1.0) * logit + at(&spec.bias, class, 0.0),
    };
    logits.iter().enumerate().map(adjust).collect()
}

/// Whether `class` is in the softmax of `row`: the weight `1 - beta T(f_k)(1 - y_k)` of equalization loss,
/// which is 0 or 1 (Tan et al. 2020, arXiv 2003.05176).
pub(super) fn gate_keeps(gate: &Gate, row: usize, row_gates: &[f32], class: usize) -> bool {
    match gate.source {
        GateSource::Given => row_gates.get(class).is_none_or(|&value| value != 0.0),
        _ => gate.keeps(index_32(row), index_32(class)),
    }
}

/// Rows and classes as the generator counts them.
fn index_32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Seesaw's mitigation `log M_yj = p min(0, log n_j - log n_y)` (Wang et al. 2021, arXiv 2008.10032),
/// counts below 1 as 1.
pub(super) fn mitigation(seesaw: &Seesaw, counts: &[u64], label: usize, class: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 only need their logarithm")]
    let log_count = |class: usize| (counts.get(class).copied().unwrap_or(1).max(1) as f64).ln();
    seesaw.p * (log_count(class) - log_count(label)).min(0.0)
}

/// `t = log max(s_y, eps)` up to the constant `logsumexp(v)`, `s = softmax(v)`: what seesaw's compensation
/// compares a class with. The floor `eps` is the authors' code.
pub(super) fn compensation_threshold(seesaw: &Seesaw, v: &[f64], label: usize) -> f64 {
    v.get(label).copied().unwrap_or(f64::NEG_INFINITY).max(log_sum_exp(v) + seesaw.eps.ln())
}

/// Seesaw's compensation `log C_j = q max(0, v_j - t)`, which is `q log(s_j / max(s_y, eps))` where that is
/// positive (Wang et al. 2021, arXiv 2008.10032). Without a floor and with a masked label the ratio has no
/// value: no compensation.
pub(super) fn compensation(seesaw: &Seesaw, threshold: f64, value: f64) -> f64 {
    match threshold {
        f64::NEG_INFINITY => 0.0,
        _ => seesaw.q * (value - threshold).max(0.0),
    }
}

/// The cross-entropy of one label and what goes with it.
pub(super) struct LabelLoss {
    /// `l = logsumexp(u) - u_y`.
    pub loss: f64,
    /// `p = exp(-l)`.
    pub probability: f64,
    /// `1 - p`, from the mass of the other classes: no cancellation where p is near 1.
    pub rest: f64,
}

/// `l = log(1 + exp(d))`, `p = 1 / (1 + exp(d))`, `1 - p = 1 / (1 + exp(-d))`, with
/// `d = logsumexp_{j != y}(u) - u_y`.
pub(super) fn label_loss(u: &[f64], label: usize) -> LabelLoss {
    let others: Vec<f64> =
        u.iter().enumerate().filter(|(class, _)| *class != label).map(|(_, value)| *value).collect();
    let d = log_sum_exp(&others) - u.get(label).copied().unwrap_or(f64::NEG_INFINITY);
    let small = (-d.abs()).exp();
    let (larger, smaller) = (1.0 / (1.0 + small), small / (1.0 + small));
    match d > 0.0 {
        true => LabelLoss { loss: d + small.ln_1p(), probability: smaller, rest: larger },
        false => LabelLoss { loss: small.ln_1p(), probability: larger, rest: smaller },
    }
}

/// A function of `l` with its derivative by `l`.
#[derive(Clone, Copy)]
pub(super) struct Slope {
    pub value: f64,
    pub derivative: f64,
}

/// `F = w (1 - p)^gamma l` (Lin et al. 2017, arXiv 1708.02002, eq. 4), with the class weight outside or inside
/// the modulator; `F = w l` without one. `F' = w [(1 - p)^gamma + gamma (1 - p)^(gamma - 1) p l]`.
pub(super) fn focal(focal: Option<Focal>, weight: f64, label: &LabelLoss) -> Slope {
    let Some(Focal { gamma, detached, weight_inside }) = focal else {
        return Slope { value: weighted(weight, label.loss), derivative: weight };
    };
    // With the weight inside everything happens to the weighted cross-entropy x = w l, of "probability" p^w.
    let (x, probability, rest) = match weight_inside {
        false => (label.loss, label.probability, label.rest),
        true => {
            let x = weighted(weight, label.loss);
            (x, (-x).exp(), -(-x).exp_m1())
        }
    };
    let modulator = rest.powf(gamma);
    // (1-p)^(gamma-1) l = (1-p)^gamma (l / (1-p)), and the ratio tends to 1 with l: finite for every gamma >= 0.
    let ratio = if rest > 0.0 { x / rest } else { 1.0 };
    let modulator_slope = gamma * modulator * weighted(probability, ratio);
    let derivative = modulator + if detached { 0.0 } else { modulator_slope };
    let outer = if weight_inside { 1.0 } else { weight };
    Slope { value: weighted(outer, weighted(modulator, x)), derivative: weight * derivative }
}

/// Multiplies `F` by `alpha / (2 (1 - p) h + eps)` (Park et al. 2021, arXiv 2110.02444, with the
/// authors' `eps`), whose derivative by `l` is `-alpha 2 h p / (2 (1 - p) h + eps)^2`.
pub(super) fn influenced(influence: &Influence, norm: f64, label: &LabelLoss, f: Slope) -> Slope {
    let size = 2.0 * label.rest * norm + influence.eps;
    let factor = influence.alpha / size;
    let factor_slope = match influence.detached {
        true => 0.0,
        false => -factor * 2.0 * norm / size,
    };
    // p F tends to 0 with p.
    let f_times_p = weighted(label.probability, f.value);
    Slope { value: weighted(factor, f.value), derivative: factor * f.derivative + factor_slope * f_times_p }
}
