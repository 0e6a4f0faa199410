//! How far a kernel's f32 result may be from the f64 reference, and the one comparison that decides it.
//!
//! # Error analysis
//! `e = 2^-24` is the unit roundoff of f32. The specs of these tests are rounded to f32 first, so that the
//! reference computes with the same numbers.
//!
//! * **Arguments.** `u_j` is made of products and sums of magnitude at most `U` (the row's largest finite
//!   `|scale s_j z_j|`, bias, margin, mitigation `p log n`, and `q` times the two terms of the compensation), in at
//!   most four roundings; its reference (a maximum plus a logarithm) has the same error, the subtraction one more, and
//!   a saved log-sum-exp another: `12 U e` when all have one sign, `6 U e` allowed, and its `exp` relatively so.
//! * **exp and log.** WGSL allows `exp(x)` 3 + 2 |x| ULP, one ULP being at most `2 e`; |x| is at most `2 U`, and beyond
//!   88 the result is 0. Half of that is allowed, `(12 + 4 min(U, 88)) e`, for the three that follow each other, of which
//!   two have small |x|. The series for `log1p` and `1 - exp(-x)`, divisions and products: `12 e`.
//! * **Sums** of K positive terms in a running order: `K e` at worst, about `sqrt(K) e` for roundings that are
//!   independent (Higham and Mary 2019, "A new approach to probabilistic rounding error analysis"); four times
//!   that is allowed, which covers the rescaling when the maximum rises.
//!
//! Together `rho = e (24 + 10 U + 4 sqrt(K))` is the relative error of every probability `q_j`, of `1 - p` (made from
//! the mass of the other classes, without cancellation), and of `l`. From there:
//! * focal: `(1 - p)^gamma = exp(gamma log(1 - p))` has `gamma rho` and `4 e gamma |log(1 - p)|` more;
//! * influence balancing: `dF/dl` is a difference; `rho` is multiplied by (sum of the parts) / |difference|;
//! * an element of the gradient that is a sum (dense targets, z-loss, two labels) has `rho` times the sum of the
//!   parts' absolute values instead of `rho |r|`;
//! * reductions over N rows: `e (8 + 2 sqrt(N))`.
//!
//! Below `TINY` nothing is asked: f32 flushes to 0.
//!
//! Logits of 16 bits are exact in f32, so they change nothing: the tests round the logits first. A gradient of 16 bits
//! is rounded once more, to nearest: `2^-11` of its size for f16, `2^-8` for bf16, or half a step where numbers are
//! subnormal (`2^-25`, `2^-134`). From 65,520 on an f16 is infinite.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Got, Up};
use crate::inputs::Data;
use longtail::{Element, Reduction, SoftmaxLoss, TargetKind, reference};

const E: f64 = 1.0 / 16_777_216.0;
const TINY: f64 = 1e-30;

/// The tolerances of one batch, in the shapes of the output.
pub struct Bounds {
    pub loss: f64,
    pub row_loss: Vec<f64>,
    pub log_sum_exp: Vec<f64>,
    pub probability: Vec<f64>,
    pub gradient: Vec<f64>,
    pub class_scale: Vec<f64>,
}

fn at(column: &Option<Vec<f64>>, class: usize, absent: f64) -> f64 {
    column.as_ref().map_or(absent, |values| values[class])
}

fn largest(column: &Option<Vec<f64>>) -> f64 {
    let finite = column.iter().flatten().filter(|value| value.is_finite());
    finite.fold(0.0, |top, value| top.max(value.abs()))
}

/// One label of a row with its share and what it asks of the row.
struct Label {
    class: usize,
    share: f64,
    weight: f64,
    smoothing: f64,
}

fn labels(spec: &SoftmaxLoss, data: &Data, row: usize) -> Vec<Label> {
    let pairs = match data.kind {
        TargetKind::Hard => vec![(data.labels[row], 1.0)],
        TargetKind::Mixed => {
            let share = f64::from(data.lambda[row]);
            vec![(data.labels[row], share), (data.second[row], 1.0 - share)]
        }
        _ => Vec::new(),
    };
    let pairs = pairs.into_iter().filter(|(label, _)| Some(*label) != spec.ignore_index);
    pairs
        .map(|(label, share)| {
            let class = label as usize;
            Label {
                class,
                share,
                weight: at(&spec.class_weights, class, 1.0),
                smoothing: at(&spec.class_smoothing, class, spec.label_smoothing),
            }
        })
        .collect()
}

/// 1 / denominator, by the definitions of `Reduction`.
fn inverse(spec: &SoftmaxLoss, data: &Data) -> f64 {
    let rows = 0..data.rows;
    let soft = data.kind == TargetKind::Soft;
    let denominator = match spec.reduction {
        Reduction::Mean => data.rows as f64,
        Reduction::Fixed(d) => d,
        Reduction::MeanKept => rows.filter(|&row| soft || !labels(spec, data, row).is_empty()).count() as f64,
        Reduction::WeightedMean if soft => data.rows as f64,
        Reduction::WeightedMean => {
            rows.flat_map(|row| labels(spec, data, row)).map(|label| label.share * label.weight).sum()
        }
        _ => 1.0,
    };
    if denominator == 0.0 { 0.0 } else { 1.0 / denominator }
}

impl Bounds {
    pub fn new(spec: &SoftmaxLoss, data: &Data, want: &reference::Output, upstream: Up) -> Self {
        let (rows, classes) = (data.rows, data.classes);
        let inverse = inverse(spec, data);
        let reduction = E * (8.0 + 2.0 * (rows as f64).sqrt());
        let mut bounds = Bounds {
            loss: TINY,
            row_loss: Vec::with_capacity(rows),
            log_sum_exp: Vec::with_capacity(rows),
            probability: Vec::with_capacity(rows),
            gradient: Vec::with_capacity(rows * classes),
            class_scale: vec![TINY; classes],
        };
        let mut scale_parts = vec![0.0; classes];
        let total_weight: f64 = (0..classes).map(|class| at(&spec.class_weights, class, 1.0)).sum();
        let scale = |class| spec.scale * at(&spec.class_scale, class, 1.0).abs();
        for row in 0..rows {
            let z = &data.wide[row * classes..(row + 1) * classes];
            let r = &want.gradient[row * classes..(row + 1) * classes];
            let factor = match upstream {
                Up::One => 1.0,
                Up::Scalar(value) => f64::from(value),
                Up::PerRow => f64::from(data.upstream[row]),
            };
            let row_weight = data.row_weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
            let labels = labels(spec, data, row);
            let (size, argument) = argument(spec, z, want.log_sum_exp[row]);
            let rho = argument + E * (24.0 + 4.0 * (classes as f64).sqrt());
            let lse = want.log_sum_exp[row].abs();
            // The dense part: (weight of the tau, tau_j).
            let smoothing: f64 = labels.iter().map(|label| label.share * label.smoothing).sum();
            let dense = |class: usize| {
                let weight = at(&spec.class_weights, class, 1.0);
                match data.kind {
                    TargetKind::Soft => {
                        let e = spec.label_smoothing;
                        let target = f64::from(data.soft[row * classes + class]);
                        weight * ((1.0 - e) * target + e / classes as f64)
                    }
                    _ => weight * smoothing / classes as f64,
                }
            };
            let dense_total = match data.kind {
                TargetKind::Soft => (0..classes).map(dense).sum(),
                _ => total_weight * smoothing / classes as f64,
            };
            let z_slope = 2.0 * spec.z_loss * lse;
            let hard = labels
                .iter()
                .fold(1.0f64, |worst, label| worst.max(slope_growth(spec, data, want, row, label)));
            let grown = rho * hard + reduction;
            let outer = inverse * factor.abs() * row_weight;
            for class in 0..classes {
                let mut parts = r[class].abs() + 2.0 * outer * scale(class) * dense(class);
                if labels.iter().any(|label| label.class == class) {
                    let p = want.target_probability[row];
                    let (p, of_labels) = match labels.as_slice() {
                        [_] => (p, 0.0),
                        labels => {
                            let gamma = spec.focal.map_or(0.0, |focal| focal.gamma);
                            (1.0, labels.iter().map(|label| label.share * label.weight * (1.0 + gamma)).sum())
                        }
                    };
                    let rest = dense_total + total_weight.min(labels[0].weight) * smoothing / classes as f64;
                    parts += outer * scale(class) * (2.0 * rest * p + 2.0 * z_slope * p + of_labels);
                }
                let bound = grown * parts + TINY;
                bounds.gradient.push(bound);
                if z[class].is_finite() {
                    let own = at(&spec.class_scale, class, 1.0).abs();
                    let part = (z[class] / own).abs();
                    bounds.class_scale[class] += bound * part;
                    scale_parts[class] += r[class].abs() * part;
                }
            }
            let loss = want.row_loss[row];
            let absolute = size * 8.0 * E * (dense_total + 2.0 * z_slope) * row_weight;
            let bound = grown * loss.abs() + absolute + TINY;
            bounds.row_loss.push(bound);
            bounds.loss += inverse * (bound + reduction * loss.abs());
            bounds.log_sum_exp.push(argument + E * (4.0 * lse + 12.0 + 4.0 * (classes as f64).sqrt()));
            bounds.probability.push(rho * want.target_probability[row] + TINY);
        }
        for (bound, parts) in bounds.class_scale.iter_mut().zip(scale_parts) {
            *bound += E * (4.0 + rows as f64) * parts;
        }
        bounds
    }
}

/// `U`, and the relative error that arguments and `exp` leave.
fn argument(spec: &SoftmaxLoss, z: &[f64], lse: f64) -> (f64, f64) {
    let scaled = |(class, z): (usize, &f64)| (spec.scale * at(&spec.class_scale, class, 1.0) * z).abs();
    let finite = z.iter().enumerate().filter(|(_, z)| z.is_finite());
    let v = finite.map(scaled).fold(0.0, f64::max) + largest(&spec.bias);
    let mut size = v + largest(&spec.margin);
    if let Some(seesaw) = &spec.seesaw {
        let count = seesaw.counts.iter().copied().max().unwrap_or(1) as f64 + z.len() as f64;
        let floor = if seesaw.eps > 0.0 { seesaw.eps.ln().abs() } else { 0.0 };
        size += seesaw.p * count.ln() + seesaw.q * (2.0 * v + floor);
    }
    let size = size.max(if lse.is_finite() { lse.abs() } else { 0.0 });
    (size, E * (6.0 * size + 4.0 * size.min(88.0)))
}

/// By how much the relative error of `dF/dl` and of `F` exceeds that of the probabilities.
fn slope_growth(spec: &SoftmaxLoss, data: &Data, want: &reference::Output, row: usize, label: &Label) -> f64 {
    let p = want.target_probability[row];
    if !(spec.focal.is_some() || spec.influence.is_some()) || !(0.0..1.0).contains(&p) {
        return 1.0;
    }
    let (q, l) = (1.0 - p, -p.ln());
    let mut growth = 1.0;
    let mut slope_over_loss = if l > 0.0 { 1.0 / l } else { f64::INFINITY };
    if let Some(focal) = spec.focal {
        let x = if focal.weight_inside { label.weight * l } else { l };
        let q = if focal.weight_inside { -(-x).exp_m1() } else { q };
        // |log(1 - p)| counts as the number of units by which rho exceeds e.
        growth += focal.gamma * (1.0 + q.ln().abs() / 10.0)
            + if focal.weight_inside { x.min(88.0) / 10.0 } else { 0.0 };
        let ratio = if q > 0.0 { x / q } else { 1.0 };
        slope_over_loss *= 1.0 + if focal.detached { 0.0 } else { focal.gamma * (1.0 - q) * ratio };
    }
    if let Some(influence) = spec.influence.filter(|influence| !influence.detached) {
        let norm = f64::from(data.norms[row]);
        let against = 2.0 * norm * p / (2.0 * q * norm + influence.eps);
        if slope_over_loss.is_finite() {
            growth *= (slope_over_loss + against) / (slope_over_loss - against).abs().max(1e-12);
        }
    }
    growth
}

/// What an element type makes of a number, and by how much it may be off.
pub fn stored(element: Element, want: f64, bound: f64) -> (f64, f64) {
    let (rounding, step) = match element {
        Element::F32 => return (want, bound),
        Element::F16 => (2f64.powi(-11), 2f64.powi(-25)),
        _ => (2f64.powi(-8), 2f64.powi(-134)),
    };
    if element == Element::F16 && want.abs() >= 65_520.0 {
        return (f64::INFINITY.copysign(want), bound);
    }
    (want, bound + (want.abs() + bound) * rounding + step)
}

/// The element that is worst in units of its tolerance.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst {
    pub what: &'static str,
    pub index: usize,
    pub got: f64,
    pub want: f64,
    pub bound: f64,
    /// |got - want| / bound; above 1 is a failure.
    pub ratio: f64,
}

/// Compares one list; a NaN or an infinity must be met by its like.
pub fn worst(what: &'static str, got: &[f32], want: &[f64], bounds: &[f64]) -> Option<Worst> {
    assert_eq!(got.len(), want.len(), "{what}");
    assert_eq!(bounds.len(), want.len(), "{what}");
    let one = |(index, ((&got, &want), &bound)): (usize, ((&f32, &f64), &f64))| {
        let got = f64::from(got);
        let ratio = match (want.is_finite(), got.is_finite()) {
            (true, true) => (got - want).abs() / bound,
            (false, false) if want == got || want.is_nan() && got.is_nan() => 0.0,
            _ => f64::INFINITY,
        };
        let ratio = if ratio.is_nan() { f64::INFINITY } else { ratio };
        Worst { what, index, got, want, bound, ratio }
    };
    let all = got.iter().zip(want).zip(bounds).enumerate().map(one);
    all.max_by(|a, b| a.ratio.total_cmp(&b.ratio))
}

/// Compares a whole output and gives its worst element.
pub fn compare(
    spec: &SoftmaxLoss,
    data: &Data,
    want: &reference::Output,
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
    let mut all = vec![
        worst("loss", &[got.loss], &[want.loss], &[bounds.loss]),
        worst("row_loss", &got.row_loss, &want.row_loss, &bounds.row_loss),
        worst("log_sum_exp", &got.log_sum_exp, &want.log_sum_exp, &bounds.log_sum_exp),
        worst("probability", &got.probability, &want.target_probability, &bounds.probability),
        worst("gradient", &got.gradient, &want_gradient, &gradient_bounds),
    ];
    if let Some(class_scale) = &got.class_scale {
        all.push(worst("class_scale", class_scale, &want.class_scale_gradient, &bounds.class_scale));
    }
    let first = got.argmax.iter().zip(&want.argmax).position(|(got, want)| got != want);
    all.push(first.map(|index| Worst {
        what: "argmax",
        index,
        got: f64::from(got.argmax[index]),
        want: f64::from(want.argmax[index]),
        bound: 0.0,
        ratio: f64::INFINITY,
    }));
    let all = all.into_iter().flatten();
    all.max_by(|a, b| a.ratio.total_cmp(&b.ratio)).expect("the loss is always compared")
}
