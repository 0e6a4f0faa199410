//! Binary cross-entropy of softmax probabilities, with PyTorch's clamps.

use super::log_sum_exp;
use super::sigmoid::Part;
use super::terms::weighted;

/// A logarithm is at least this.
const SMALLEST_LOG: f64 = -100.0;
/// `p (1 - p)` in a denominator is at least this.
const SMALLEST_VARIANCE: f64 = 1e-12;

/// `sum_j W_j [ -t log p - (1 - t) log(1 - p) ]` with `p = softmax(u)`; by `u_j`: `p_j (d_j - sum_k d_k p_k)` with
/// `d_j = W_j (p_j - t_j) / (p_j (1 - p_j))`. `None` for a row in which no class is left.
pub(super) fn row(u: &[f64], targets: &[f64], weights: &[f64]) -> Option<Part> {
    // From the largest on: a logarithm of K would be lost beside large logits.
    let top = u.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return None;
    }
    let u: Vec<f64> = u.iter().map(|value| value - top).collect();
    let all = log_sum_exp(&u);
    let elements: Vec<Element> =
        (0..u.len()).map(|class| element(&u, all, class, targets, weights)).collect();
    let mean: f64 = elements.iter().map(|element| element.p * element.d).sum();
    Some(Part {
        loss: elements.iter().map(|element| element.loss).sum(),
        slope: elements.iter().map(|element| element.p * (element.d - mean)).collect(),
    })
}

struct Element {
    p: f64,
    loss: f64,
    /// The loss's derivative by `p`.
    d: f64,
}

fn element(u: &[f64], all: f64, class: usize, targets: &[f64], weights: &[f64]) -> Element {
    let value = |values: &[f64]| values.get(class).copied().unwrap_or(0.0);
    let (t, weight) = (value(targets), value(weights));
    // Of a likely class both from the mass of the others, of an unlikely one both from its own: no cancellation.
    let log_p = value(u) - all;
    let p = log_p.exp();
    let (log_p, rest, log_rest) = match p > 0.5 {
        true => {
            let others = u.iter().enumerate().filter(|(other, _)| *other != class);
            let others: f64 = others.map(|(_, other)| (other - value(u)).exp()).sum();
            (-others.ln_1p(), others / (1.0 + others), others.ln() - others.ln_1p())
        }
        false => (log_p, 1.0 - p, (-p).ln_1p()),
    };
    let loss = weighted(t, -log_p.max(SMALLEST_LOG)) + weighted(1.0 - t, -log_rest.max(SMALLEST_LOG));
    // p - t, likewise.
    let difference = (1.0 - t) * p - t * rest;
    let d = weight * difference / (p * rest).max(SMALLEST_VARIANCE);
    Element { p, loss: weighted(weight, loss), d }
}
