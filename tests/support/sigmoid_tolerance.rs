//! Tolerances of the sigmoid family's kernels against the f64 reference, from an analysis of their arithmetic.
//!
//! # Error analysis
//! `e = 2^-24` is the unit roundoff of f32. The losses of these tests are rounded to f32 first.
//!
//! * **Arguments.** `u` is made of `scale z`, bias and margin in at most five roundings, its side's scale among them:
//!   off by `du = 6 e A`, with `A` the sum of their absolute values times that scale. A row's summed margin is a sum of
//!   K terms, off by `e (4 + 2 sqrt(K))` of the terms' sizes (Higham and Mary 2019).
//! * **Sigmoid and softplus.** WGSL allows `exp(x)` 3 + 2 |x| ULP, one ULP being at most `2 e`; the series for `log1p`,
//!   divisions and products cost `16 e`. `softplus` has slope at most its own size times `1 / log 2`, a sigmoid's relative
//!   slope is at most 1. Hence `rho = 1.5 du + e (16 + 4 min(|u|, 88))` for each of `s`, `1 - s` and both costs,
//!   relatively.
//! * **Elements.** Cost, slope and the focal modulator's base are sums of two terms at most; each is off by `rho` times
//!   the sum of absolute values. A power `x^gamma` has `gamma (rho + 12 e) + e (8 + 10 gamma |log x|)`.
//! * **Weights.** Products of at most eight factors. What is summed over a row's K targets has `e (4 + 2 sqrt(K))`.
//!   `(1 - beta) / (1 - beta^n)` has at most the relative error of `n`, and `16 e`. A sigmoid of `x` with `x` off by `dx`
//!   has `(1 - sigmoid(x)) dx` relatively, and that of its exponential: re-balancing and accumulated gradients.
//! * **Sums** of K terms that are not negative, a row's loss: `e (16 + 2 sqrt(K))`. Reductions over N rows:
//!   `e (8 + 2 sqrt(N))`; sums of multi-hot targets and accumulated gradients over rows as well.
//! * **The softmax link.** `p` has `rho = 3 max(du) + e (24 + 4 min(max - u, 88) + 4 sqrt(K))` relatively, and so have
//!   `1 - p`, which comes from the mass of the others, and both logarithms. The gradient `p_j (d_j - sum d_k p_k)` is off
//!   by `rho` times the sum of absolute values. Where p is below 2^-126 it is 0: `p_k d_k` is lost, from the sum as well;
//!   with `d_k` up to `W / 1e-12` that is at most `1.2e-26 W`.
//!
//! Below `TINY` nothing is asked: f32 flushes to 0. A gradient of 16 bits is rounded once more.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Got, Up};
use crate::inputs::Data;
use crate::sigmoid_cases::wide;
use crate::tolerance::{Worst, stored, worst};
use longtail::sigmoid::{Background, Link, RowWeight};
use longtail::{Element, Reduction, SigmoidLoss, TargetKind, reference};

const E: f64 = 1.0 / 16_777_216.0;
const TINY: f64 = 1e-30;
/// 2^-126: what is smaller is 0.
const SMALLEST_NORMAL: f64 = f32::MIN_POSITIVE as f64;

/// The tolerances of one batch, in the shapes of the output.
pub struct Bounds {
    pub loss: f64,
    pub row_loss: Vec<f64>,
    pub gradient: Vec<f64>,
    pub positive: Vec<f64>,
    pub negative: Vec<f64>,
}

/// What an element is made of.
struct Element1 {
    /// Its loss without weights, and by how much it may be off.
    loss: f64,
    loss_error: f64,
    /// The sum of absolute values behind its slope in u, and by how much the slope may be off.
    slope_error: f64,
}

fn logistic(x: f64) -> f64 {
    let small = (-x.abs()).exp();
    if x > 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn weighted(weight: f64, value: f64) -> f64 {
    if weight == 0.0 { 0.0 } else { weight * value }
}

fn at(column: &Option<Vec<f64>>, class: usize, absent: f64) -> f64 {
    column.as_ref().map_or(absent, |values| values[class])
}

/// A row's targets and what kind of row it is.
struct Row {
    targets: Vec<f64>,
    kept: bool,
    background: bool,
}

fn row_of(spec: &SigmoidLoss, data: &Data, row: usize) -> Row {
    let classes = data.classes;
    if data.kind == TargetKind::MultiHot {
        let targets = data.soft[row * classes..(row + 1) * classes].iter().map(|&t| f64::from(t)).collect();
        return Row { targets, kept: true, background: false };
    }
    let label = data.labels[row];
    let kept = Some(label) != spec.ignore_index;
    let background = match spec.background {
        Some(Background::Label(number)) => label == number,
        Some(Background::Column(column)) => label == column as i32,
        _ => false,
    };
    let target = |class: usize| if kept && label == class as i32 { 1.0 } else { 0.0 };
    Row { targets: (0..classes).map(target).collect(), kept, background: kept && background }
}

/// u and by how much it may be off.
fn argument(spec: &SigmoidLoss, row: &Row, z: f64, class: usize, classes: usize) -> (f64, f64) {
    let t = row.targets[class];
    let bias = if row.background && !spec.bias_on_background { 0.0 } else { at(&spec.bias, class, 0.0) };
    let margin = spec.margin.as_ref().filter(|_| t > 0.0);
    let (shift, size) = match margin {
        Some(margin) if margin.summed => {
            let sum =
                |of: fn(f64) -> f64| row.targets.iter().zip(&margin.columns).map(|(t, m)| t * of(*m)).sum();
            let (sum, size): (f64, f64) = (sum(|m| m), sum(f64::abs));
            (sum, size * (1.0 + (4.0 + 2.0 * (classes as f64).sqrt()) / 6.0))
        }
        Some(margin) => (margin.columns[class], margin.columns[class].abs()),
        None => (0.0, 0.0),
    };
    let side = t + (1.0 - t) * spec.negative_scale;
    let size = side * ((spec.scale * z).abs() + bias.abs() + size);
    let u = side * (spec.scale * z + bias - shift);
    (u, if size.is_finite() { 6.0 * E * size } else { 0.0 })
}

fn element(spec: &SigmoidLoss, u: f64, du: f64, t: f64, positive_weight: f64) -> Element1 {
    let rho = 1.5 * du + E * (16.0 + 4.0 * u.abs().min(88.0));
    let (s, q) = (logistic(u), logistic(-u));
    let cost = weighted(positive_weight * t, softplus(-u)) + weighted(1.0 - t, softplus(u));
    let size = (1.0 - t) * s + positive_weight * t * q;
    let Some(focal) = spec.focal else {
        return Element1 { loss: cost, loss_error: weighted(cost, rho), slope_error: size * rho };
    };
    let base = t * q + (1.0 - t) * s;
    let gamma = focal.gamma;
    let logarithm = if base > 0.0 { base.ln().abs().min(88.0) } else { 88.0 };
    let power = gamma.max(1.0) * (rho + 12.0 * E) + E * (8.0 + 10.0 * gamma * logarithm);
    let modulator = base.powf(gamma);
    let bend = match focal.detached || base == 0.0 {
        true => 0.0,
        false => weighted(gamma * (1.0 - 2.0 * t).abs() * modulator * s * q / base, cost),
    };
    let loss = weighted(modulator, cost);
    let error = power + 2.0 * rho + 4.0 * E;
    Element1 { loss, loss_error: weighted(loss, error), slope_error: (modulator * size + bend) * error }
}

/// The relative error of a sigmoid of `x` that is off by `dx`.
fn of_sigmoid(x: f64, dx: f64) -> f64 {
    weighted(logistic(-x), dx) + E * (16.0 + 4.0 * x.abs().min(88.0))
}

/// The relative error of the weight of one element.
fn weight_error(spec: &SigmoidLoss, row: &Row, class: usize, classes: usize) -> f64 {
    let summed = E * (4.0 + 2.0 * (classes as f64).sqrt());
    let mut error = 16.0 * E;
    if let Some(rule) = &spec.row_weight {
        error += summed + 4.0 * E + if matches!(rule, RowWeight::Mean(_)) { 0.0 } else { 24.0 * E };
    }
    if let Some(rebalance) = &spec.rebalance {
        let share: f64 = row.targets.iter().zip(&rebalance.counts).map(|(t, n)| t / *n as f64).sum();
        let r = 1.0 / rebalance.counts[class] as f64 / share;
        if r.is_finite() && rebalance.beta != 0.0 {
            let x = rebalance.beta * (r - rebalance.gamma);
            let dx = rebalance.beta.abs() * (r + rebalance.gamma.abs()) * (summed + 8.0 * E);
            // The sigmoid's share of the weight; a norm divides by another such number.
            let share = logistic(x) / (rebalance.alpha + logistic(x));
            let norm = spec.weight_norm != longtail::sigmoid::WeightNorm::None;
            error += share * of_sigmoid(x, dx)
                + if norm { largest_error(rebalance, share_of(row, rebalance), summed) } else { 0.0 };
        } else {
            error += 40.0 * E;
        }
    }
    if let Some(balance) = &spec.gradient_balance {
        let (positive, negative) = (balance.sums.positive[class], balance.sums.negative[class]);
        let g = positive / (negative + 1e-10);
        let x = balance.gamma * (g - balance.mu);
        let dx = balance.gamma * (g + balance.mu.abs()) * 8.0 * E;
        let both = logistic(x).min(logistic(-x));
        // Of Q, and of P = 1 + alpha (1 - Q), whose part 1 - Q has relative slope Q.
        error += of_sigmoid(x, dx)
            + weighted(both, dx) * (1.0 + balance.alpha)
            + E * (16.0 + 4.0 * x.abs().min(88.0));
    }
    error
}

fn share_of(row: &Row, rebalance: &longtail::sigmoid::Rebalance) -> f64 {
    row.targets.iter().zip(&rebalance.counts).map(|(t, n)| t / *n as f64).sum()
}

/// The relative error of the largest re-balanced weight of a row.
fn largest_error(rebalance: &longtail::sigmoid::Rebalance, share: f64, summed: f64) -> f64 {
    let of = |count: u64| {
        let r = 1.0 / count as f64 / share;
        let x = rebalance.beta * (r - rebalance.gamma);
        let dx = rebalance.beta.abs() * (r + rebalance.gamma.abs()) * (summed + 8.0 * E);
        logistic(x) / (rebalance.alpha + logistic(x)) * of_sigmoid(x, dx)
    };
    let counts = rebalance.counts.iter();
    counts.map(|count| of(*count)).fold(0.0, f64::max)
}

/// 1 / denominator, by the definitions of `Reduction`.
pub fn inverse(spec: &SigmoidLoss, data: &Data) -> f64 {
    let rows: Vec<Row> = (0..data.rows).map(|row| row_of(spec, data, row)).collect();
    let kept = rows.iter().filter(|row| row.kept);
    let denominator = match spec.reduction {
        Reduction::Mean => data.rows as f64,
        Reduction::MeanKept => kept.count() as f64,
        Reduction::Elements => (data.rows * data.classes) as f64,
        Reduction::Positives => {
            let background = match spec.background {
                Some(Background::Column(column)) => column as usize,
                _ => usize::MAX,
            };
            let of = |row: &Row| -> f64 {
                let present = row.targets.iter().enumerate().filter(|(class, _)| *class != background);
                present.map(|(_, t)| t).sum()
            };
            kept.map(of).sum()
        }
        Reduction::Fixed(d) => d,
        _ => 1.0,
    };
    if denominator == 0.0 { 0.0 } else { 1.0 / denominator }
}

impl Bounds {
    pub fn new(spec: &SigmoidLoss, data: &Data, want: &reference::SigmoidOutput, upstream: Up) -> Self {
        let (rows, classes) = (data.rows, data.classes);
        let inverse = inverse(spec, data);
        let reduction = E * (8.0 + 2.0 * (rows as f64).sqrt() + 2.0 * (classes as f64).sqrt());
        let weights = reference::sigmoid_weights(spec, &wide(spec, data)).expect("the batch is legal");
        let mut bounds = Bounds {
            loss: TINY,
            row_loss: Vec::with_capacity(rows),
            gradient: Vec::with_capacity(rows * classes),
            positive: vec![TINY; classes],
            negative: vec![TINY; classes],
        };
        for row in 0..rows {
            let range = row * classes..(row + 1) * classes;
            let (z, w) = (&data.wide[range.clone()], &weights[range.clone()]);
            let factor = match upstream {
                Up::One => 1.0,
                Up::Scalar(value) => f64::from(value),
                Up::PerRow => f64::from(data.upstream[row]),
            };
            let outer = data.row_weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
            let of_row = row_of(spec, data, row);
            let elements = match spec.link {
                Link::Softmax => linked(spec, &of_row, z, w),
                _ => z
                    .iter()
                    .enumerate()
                    .map(|(class, z)| {
                        let (u, du) = argument(spec, &of_row, *z, class, classes);
                        let positive_weight = at(&spec.positive_weight, class, 1.0);
                        let one = element(spec, u, du, of_row.targets[class], positive_weight);
                        let error = weight_error(spec, &of_row, class, classes);
                        Element1 {
                            loss: weighted(w[class], one.loss),
                            loss_error: weighted(w[class], one.loss_error + weighted(one.loss, error)),
                            slope_error: w[class] * one.slope_error,
                        }
                    })
                    .collect(),
            };
            let mut loss_error = TINY;
            for (class, one) in elements.iter().enumerate() {
                let t = of_row.targets[class];
                let side = spec.scale * (t + (1.0 - t) * spec.negative_scale);
                let slope = if inverse * factor == 0.0 {
                    0.0
                } else {
                    want.gradient[row * classes + class] / (inverse * factor)
                };
                let relative = 12.0 * E
                    + if spec.link == Link::Softmax {
                        0.0
                    } else {
                        weight_error(spec, &of_row, class, classes)
                    };
                let error = outer * side * one.slope_error + slope.abs() * relative + TINY;
                bounds.gradient.push((inverse * factor).abs() * (error + slope.abs() * reduction) + TINY);
                let error = error + slope.abs() * E * (8.0 + 2.0 * (rows as f64).sqrt());
                bounds.positive[class] += t * error;
                bounds.negative[class] += (1.0 - t) * error;
                if one.loss_error.is_finite() {
                    loss_error += outer * one.loss_error;
                }
            }
            let loss = want.row_loss[row];
            let bound = loss_error
                + if loss.is_finite() { E * (16.0 + 2.0 * (classes as f64).sqrt()) * loss } else { 0.0 };
            bounds.row_loss.push(bound);
            bounds.loss += inverse * (bound + if loss.is_finite() { reduction * loss } else { 0.0 });
        }
        bounds
    }
}

/// The elements of a row under the softmax link, weights included.
fn linked(spec: &SigmoidLoss, row: &Row, z: &[f64], weights: &[f64]) -> Vec<Element1> {
    let classes = z.len();
    let (mut us, mut du) = (Vec::new(), 0.0f64);
    for (class, z) in z.iter().enumerate() {
        let (u, error) = argument(spec, row, *z, class, classes);
        us.push(u);
        du = du.max(error);
    }
    let top = us.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = us.iter().map(|u| (u - top).exp()).sum();
    let of = |class: usize| {
        let (u, t, w) = (us[class], row.targets[class], weights[class]);
        let rho = 3.0 * du + E * (24.0 + 4.0 * (top - u).min(88.0) + 4.0 * (classes as f64).sqrt());
        let rho = rho + weight_error(spec, row, class, classes);
        let p = (u - top).exp() / sum;
        let others =
            || us.iter().enumerate().filter(|(k, _)| *k != class).map(|(_, other)| (other - u).exp());
        let (log_p, rest, log_rest) = match p > 0.5 {
            true => {
                let others: f64 = others().sum();
                (-others.ln_1p(), others / (1.0 + others), others.ln() - others.ln_1p())
            }
            false => (u - top - sum.ln(), 1.0 - p, (-p).ln_1p()),
        };
        let loss = weighted(t, (-log_p).min(100.0)) + weighted(1.0 - t, (-log_rest).min(100.0));
        let d = w * ((1.0 - t) * p + t * rest) / (p * rest).max(1e-12);
        (p, rho, weighted(w, loss), d)
    };
    let all: Vec<_> = (0..classes).map(of).collect();
    let total: f64 = all.iter().map(|(p, rho, _, d)| p * d * (rho + 8.0 * E) + SMALLEST_NORMAL * d).sum();
    let size: f64 = all.iter().map(|(p, _, _, d)| p * d).sum();
    all.iter()
        .map(|(p, rho, loss, d)| Element1 {
            loss: *loss,
            loss_error: weighted(*loss, 2.0 * rho),
            slope_error: p * (2.0 * d * rho + size * rho + total) + SMALLEST_NORMAL * (d + size),
        })
        .collect()
}

/// Compares a whole output and gives its worst element.
pub fn compare(
    spec: &SigmoidLoss,
    data: &Data,
    want: &reference::SigmoidOutput,
    got: &Got,
    upstream: Up,
    element: Element,
) -> Worst {
    let bounds = Bounds::new(spec, data, want, upstream);
    let (want_gradient, gradient_bounds): (Vec<f64>, Vec<f64>) = want
        .gradient
        .iter()
        .zip(&bounds.gradient)
        .map(|(&want, &bound)| stored(element, want, bound))
        .unzip();
    // A half is infinite from 65,520 on, which a number that is known to no less may be.
    let least =
        |(&got, want): (&f32, &f64)| match element == Element::F16 && got.is_infinite() && want.is_finite() {
            true => got.signum() * 65_520.0,
            false => got,
        };
    let got_gradient: Vec<f32> = got.gradient.iter().zip(&want_gradient).map(least).collect();
    let all = [
        worst("loss", &[got.loss], &[want.loss], &[bounds.loss]),
        worst("row_loss", &got.row_loss, &want.row_loss, &bounds.row_loss),
        worst("gradient", &got_gradient, &want_gradient, &gradient_bounds),
    ];
    let first = got.argmax.iter().zip(&want.argmax).position(|(got, want)| got != want);
    let argmax = first.map(|index| Worst {
        what: "argmax",
        index,
        got: f64::from(got.argmax[index]),
        want: f64::from(want.argmax[index]),
        bound: 0.0,
        ratio: f64::INFINITY,
    });
    let all = all.into_iter().chain([argmax]).flatten();
    all.max_by(|a, b| a.ratio.total_cmp(&b.ratio)).expect("the loss is always compared")
}
