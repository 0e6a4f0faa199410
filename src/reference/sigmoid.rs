//! The sigmoid family, element by element.

use super::argmax;
use super::rows::{Row, rows_of};
use super::shared::{
    check_upstream, finite_rows, inverse, row_weight, sigmoid as logistic, softplus, upstream_factor,
};
use super::sigmoid_weights::Weights;
use super::softmax_link;
use super::terms::{at, weighted};
use crate::batch::{Batch, Upstream};
use crate::sigmoid::{Background, Link};
use crate::statistics::GradientSums;
use crate::{Reduction, Result, SigmoidLoss};

/// What a loss of the sigmoid family gives for one batch, in f64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SigmoidOutput {
    /// The reduced loss. Upstream factors are not in it.
    pub loss: f64,
    /// `[N]`: each row's loss `L_n` with its weights, not divided by the denominator; 0 for ignored rows.
    pub row_loss: Vec<f64>,
    /// `[N, K]`: `d loss / d logits` times the upstream factor; the denominator is in it.
    pub gradient: Vec<f64>,
    /// `[N]`: the class of the largest raw logit, the lowest such class on ties; for ignored rows too.
    pub argmax: Vec<u32>,
    /// `[K]` each: this batch's gradient sums, without the reduction's denominator and the upstream factor; a
    /// background column has 0. `None` without gradient balance. [`SigmoidLoss::add_gradients`] adds them to the spec's.
    pub gradient_sums: Option<GradientSums>,
}

/// Loss, gradient and statistics of `batch` under `spec`, in f64 on the CPU.
///
/// The gradient is multiplied by `upstream`; the loss is not. Where a weight or a factor is 0, its part is 0 even if the
/// loss it multiplies is infinite. A class that is masked by a `-inf` logit or bias has probability 0: as a negative it
/// costs nothing, as a positive the row's loss is +inf and its gradient still finite. A denominator of 0 (no rows, all
/// rows ignored, no positives) gives loss 0, gradient 0. Costs O(N K) time and memory.
///
/// ```
/// use longtail::{Batch, SigmoidLoss, Targets, Upstream, reference};
///
/// let logits = [3f64.ln(), 0.0]; // s = 3/4, 1/2
/// let batch = Batch::new(&logits, 2, Targets::Hard(&[0]));
/// let output = reference::sigmoid(&SigmoidLoss::bce(), &batch, Upstream::One)?;
/// assert!((output.row_loss[0] - (8f64 / 3.0).ln()).abs() < 1e-15); // log(4/3) + log 2
/// assert!((output.gradient[0] + 0.125).abs() < 1e-15); // (3/4 - 1) / (N K)
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// What [`SigmoidLoss::check_batch`] reports; [`Error::Length`](crate::Error::Length) for an upstream gradient that is
/// not `[N]`; [`Error::NonFinite`](crate::Error::NonFinite) for rows, ignored ones included, with a NaN or +inf logit
/// (with the softmax link also for rows that count in which masks leave no class).
pub fn sigmoid(spec: &SigmoidLoss, batch: &Batch<'_, f64>, upstream: Upstream<'_>) -> Result<SigmoidOutput> {
    spec.check_batch(batch)?;
    check_upstream(upstream, batch.rows())?;
    let rows = finite_rows("logits", rows_of(spec, batch))?;
    let weights = Weights::new(spec, batch, &rows);
    let results = rows.iter().map(|row| evaluate(spec, batch, &weights, row)).collect();
    let results: Vec<Part> = finite_rows("logits", results)?;

    let inverse = inverse(denominator(spec, &rows, batch.classes));
    let mut output = SigmoidOutput {
        loss: weighted(inverse, results.iter().map(|row| row.loss).sum()),
        row_loss: results.iter().map(|row| row.loss).collect(),
        gradient: Vec::with_capacity(batch.logits.len()),
        argmax: rows.iter().map(|row| argmax(row.logits)).map(index).collect(),
        gradient_sums: spec
            .gradient_balance
            .as_ref()
            .map(|_| gradient_sums(spec, batch.classes, &rows, &results)),
    };
    for (row, part) in rows.iter().zip(&results) {
        let factor = inverse * upstream_factor(upstream, row.position);
        output.gradient.extend(part.slope.iter().map(|slope| weighted(factor, *slope)));
    }
    Ok(output)
}

/// `W_nj` of every element, `[N, K]`: all weights but the batch's row weights and the focal modulator; 0 for ignored
/// rows. To look at what a rule does, and to compare it with other code.
///
/// ```
/// use longtail::{Batch, SigmoidLoss, Targets, reference};
/// // Classes 1 and 2 are below lambda; the second row is background.
/// let loss = SigmoidLoss::equalization(&[0.9, 0.01, 0.02], 0.05)?;
/// let batch = Batch::new(&[0.0; 6], 3, Targets::Hard(&[1, 3]));
/// assert_eq!(reference::sigmoid_weights(&loss, &batch)?, [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// Those of [`sigmoid`] but the upstream's.
pub fn sigmoid_weights(spec: &SigmoidLoss, batch: &Batch<'_, f64>) -> Result<Vec<f64>> {
    spec.check_batch(batch)?;
    let rows = finite_rows("logits", rows_of(spec, batch))?;
    let weights = Weights::new(spec, batch, &rows);
    Ok(rows.iter().flat_map(|row| weights.of_row(row)).collect())
}

/// Probabilities at test time, `[N, K]`: `sigmoid(z_nj)`, times `1 - sigmoid(z_nb)` for every other column where there is
/// a `background` column `b` (equalization v2; Tan et al. 2021, arXiv 2012.08548).
///
/// ```
/// let logits = [0.0, -(3f64.ln())];
/// let scores = longtail::reference::sigmoid_scores(&logits, 2, Some(1))?;
/// assert!((scores[0] - 0.5 * 0.75).abs() < 1e-15 && (scores[1] - 0.25).abs() < 1e-15);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for no columns and a background that is none of them,
/// [`Error::Length`](crate::Error::Length) for logits that are no whole rows.
pub fn sigmoid_scores(logits: &[f64], columns: usize, background: Option<usize>) -> Result<Vec<f64>> {
    crate::check::check_classes(columns)?;
    if let Some(column) = background.filter(|column| *column >= columns) {
        return Err(crate::Error::Parameter {
            name: "the background column",
            value: column as f64,
            expected: "one of the columns",
        });
    }
    crate::batch::length("logits", logits.len(), logits.len() / columns * columns)?;
    let scores = logits.chunks_exact(columns).flat_map(|row| {
        let object = background.and_then(|column| row.get(column)).map_or(1.0, |&logit| logistic(-logit));
        row.iter().enumerate().map(move |(column, &logit)| match Some(column) == background {
            true => logistic(logit),
            false => logistic(logit) * object,
        })
    });
    Ok(scores.collect())
}

fn index(position: Option<usize>) -> u32 {
    position.and_then(|position| u32::try_from(position).ok()).unwrap_or_default()
}

/// A row's loss and its derivative by the logits, with weights and without the denominator.
pub(super) struct Part {
    pub loss: f64,
    pub slope: Vec<f64>,
}

fn evaluate(
    spec: &SigmoidLoss,
    batch: &Batch<'_, f64>,
    weights: &Weights<'_>,
    row: &Row<'_>,
) -> Option<Part> {
    if !row.kept {
        return Some(Part { loss: 0.0, slope: vec![0.0; row.logits.len()] });
    }
    let u = adjusted(spec, row);
    let weights = weights.of_row(row);
    let mut part = match spec.link {
        Link::Softmax => softmax_link::row(&u, &row.targets, &weights)?,
        _ => elements(spec, &u, &row.targets, &weights),
    };
    // From u to the logits, and the row's weight.
    let outer = row_weight(batch, row.position);
    part.loss = weighted(outer, part.loss);
    for (slope, target) in part.slope.iter_mut().zip(&row.targets) {
        *slope = weighted(outer, *slope) * spec.scale * side_scale(spec, *target);
    }
    Some(part)
}

/// Every class for itself.
fn elements(spec: &SigmoidLoss, u: &[f64], targets: &[f64], weights: &[f64]) -> Part {
    let mut part = Part { loss: 0.0, slope: Vec::with_capacity(u.len()) };
    for (class, ((&u, &t), &weight)) in u.iter().zip(targets).zip(weights).enumerate() {
        let (loss, slope) = element(spec, u, t, at(&spec.positive_weight, class, 1.0));
        part.loss += weighted(weight, loss);
        part.slope.push(weighted(weight, slope));
    }
    part
}

/// `f e` and its derivative by `u`: binary cross-entropy under the focal modulator (Lin et al. 2017, arXiv 1708.02002).
fn element(spec: &SigmoidLoss, u: f64, t: f64, positive_weight: f64) -> (f64, f64) {
    let (p, rest) = (logistic(u), logistic(-u));
    let positive = positive_weight * t;
    let e = weighted(positive, softplus(-u)) + weighted(1.0 - t, softplus(u));
    let e_slope = (1.0 - t) * p - positive * rest;
    let Some(focal) = spec.focal else { return (e, e_slope) };
    // 1 - pt, and its logarithmic derivative p (1 - p) / (1 - pt), finite for every u.
    let modulator = (t * rest + (1.0 - t) * p).powf(focal.gamma);
    let ratio = 1.0 / (share(t, p) + share(1.0 - t, rest));
    let modulator_slope = focal.gamma * (1.0 - 2.0 * t) * weighted(modulator * ratio, e);
    let slope = weighted(modulator, e_slope) + if focal.detached { 0.0 } else { modulator_slope };
    (weighted(modulator, e), slope)
}

/// `t / p`, 0 for `t` 0 whatever `p`.
fn share(t: f64, p: f64) -> f64 {
    if t == 0.0 { 0.0 } else { t / p }
}

/// `a_nj = t + (1 - t) negative_scale`.
fn side_scale(spec: &SigmoidLoss, target: f64) -> f64 {
    target + (1.0 - target) * spec.negative_scale
}

/// `v_nj = scale z_nj + bias_j`; a masked logit stays masked.
pub(super) fn biased(spec: &SigmoidLoss, row: &Row<'_>, class: usize) -> f64 {
    let with_bias = spec.bias_on_background || !row.background;
    let bias = if with_bias { at(&spec.bias, class, 0.0) } else { 0.0 };
    spec.scale * row.logits.get(class).copied().unwrap_or(f64::NEG_INFINITY) + bias
}

/// `u_n`: the margin on positives (LDAM; VideoLT's code sums those of all positives, Zhang et al. 2021,
/// arXiv 2105.02668), the scale of negatives (Wu et al. 2020, arXiv 2007.09654).
fn adjusted(spec: &SigmoidLoss, row: &Row<'_>) -> Vec<f64> {
    let margin = spec.margin.as_ref();
    let summed = margin.filter(|margin| margin.summed);
    let summed = summed.map(|margin| row.sum(|class| column(&margin.columns, class)));
    let of_class = |(class, &target): (usize, &f64)| {
        let own = margin.map_or(0.0, |margin| column(&margin.columns, class));
        let shift = if target > 0.0 { summed.unwrap_or(own) } else { 0.0 };
        side_scale(spec, target) * (biased(spec, row, class) - shift)
    };
    row.targets.iter().enumerate().map(of_class).collect()
}

fn column(values: &[f64], class: usize) -> f64 {
    values.get(class).copied().unwrap_or(0.0)
}

fn denominator(spec: &SigmoidLoss, rows: &[Row<'_>], classes: usize) -> f64 {
    let kept = rows.iter().filter(|row| row.kept);
    match spec.reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::Mean => rows.len() as f64,
        // The weighted mean is refused by the check.
        Reduction::MeanKept | Reduction::WeightedMean => kept.count() as f64,
        Reduction::Elements => rows.len() as f64 * classes as f64,
        Reduction::Positives => {
            let background = background_column(spec);
            kept.map(|row| row.sum(|class| if Some(class) == background { 0.0 } else { 1.0 })).sum()
        }
        Reduction::Fixed(d) => d,
    }
}

pub(super) fn background_column(spec: &SigmoidLoss) -> Option<usize> {
    match spec.background {
        Some(Background::Column(column)) => usize::try_from(column).ok(),
        _ => None,
    }
}

/// `sum_n t |dL_n/dz|` and `sum_n (1 - t) |dL_n/dz|` by class (Tan et al. 2021, arXiv 2012.08548).
fn gradient_sums(spec: &SigmoidLoss, classes: usize, rows: &[Row<'_>], parts: &[Part]) -> GradientSums {
    let background = background_column(spec);
    let mut sums = GradientSums::new(classes);
    for (row, part) in rows.iter().zip(parts) {
        let columns = sums.positive.iter_mut().zip(sums.negative.iter_mut()).enumerate();
        for ((class, (positive, negative)), (t, slope)) in columns.zip(row.targets.iter().zip(&part.slope)) {
            if Some(class) != background {
                *positive += t * slope.abs();
                *negative += (1.0 - t) * slope.abs();
            }
        }
    }
    sums
}
