//! The softmax family, row by row.

use super::shared::{check_upstream, finite_rows, inverse, row_weight, upstream_factor, usable};
use super::terms::{
    Slope, adjusted, at, compensation, compensation_threshold, focal, gate_keeps, influenced, label_loss,
    mitigation, weighted,
};
use super::{Output, argmax, log_sum_exp};
use crate::batch::{Batch, Targets, Upstream};
use crate::{Reduction, Result, SoftmaxLoss};

/// Loss, gradient and row statistics of `batch` under `spec`, in f64 on the CPU.
///
/// The gradient is multiplied by `upstream`; the loss is not. Where a weight, a share or a factor is 0, its
/// part is 0 even if the loss it multiplies is infinite. A class that is masked by a `-inf` logit or bias has
/// probability 0; if it is the label, the row's loss is +inf and its gradient is still finite,
/// `w (q - onehot)`. A denominator of 0 (no rows, all rows ignored, all weights 0) gives loss 0, gradient 0.
/// Costs O(N K) time and memory.
///
/// ```
/// use longtail::{Batch, SoftmaxLoss, Targets, Upstream, reference};
///
/// let logits = [0.0, 3f64.ln()];
/// let batch = Batch::new(&logits, 2, Targets::Hard(&[0]));
/// let output = reference::softmax(&SoftmaxLoss::default(), &batch, Upstream::One)?;
/// assert!((output.loss - 4f64.ln()).abs() < 1e-15); // p = 1 / (1 + 3)
/// assert!((output.gradient[0] - (0.25 - 1.0)).abs() < 1e-15);
/// assert_eq!(output.argmax, [1]);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// What [`Batch::check`] reports; [`Error::Length`](crate::Error::Length) for an upstream gradient that is not `[N]`;
/// [`Error::NonFinite`](crate::Error::NonFinite) for rows, ignored ones included, with a NaN or +inf logit, and for rows that count in which
/// masks, biases and gates leave no class.
pub fn softmax(spec: &SoftmaxLoss, batch: &Batch<'_, f64>, upstream: Upstream<'_>) -> Result<Output> {
    batch.check(spec)?;
    let (rows, classes) = (batch.rows(), batch.classes);
    check_upstream(upstream, rows)?;
    let counts = counts_after(spec, batch);
    let results: Vec<Option<Row>> = batch
        .logits
        .chunks_exact(classes)
        .enumerate()
        .map(|(row, logits)| evaluate(spec, batch, counts.as_deref(), row, logits))
        .collect();
    let results = finite_rows("logits", results)?;
    let inverse = inverse(denominator(spec, &results));
    let mut output = Output {
        loss: weighted(inverse, results.iter().map(|row| row.loss).sum()),
        row_loss: results.iter().map(|row| row.loss).collect(),
        gradient: Vec::with_capacity(batch.logits.len()),
        log_sum_exp: results.iter().map(|row| row.log_sum_exp).collect(),
        target_probability: results.iter().map(|row| row.probability).collect(),
        argmax: results.iter().map(|row| row.argmax).collect(),
        class_scale_gradient: vec![0.0; classes],
        counts,
    };
    for (position, (row, logits)) in results.iter().zip(batch.logits.chunks_exact(classes)).enumerate() {
        let factor = inverse * upstream_factor(upstream, position);
        let scales = output.class_scale_gradient.iter_mut();
        for (class, ((slope, logit), scale_slope)) in row.slope.iter().zip(logits).zip(scales).enumerate() {
            let slope = weighted(factor, *slope);
            output.gradient.push(slope * spec.scale * at(&spec.class_scale, class, 1.0));
            if logit.is_finite() {
                *scale_slope += slope * spec.scale * logit;
            }
        }
    }
    Ok(output)
}

/// One row's part of the output.
struct Row {
    /// `L_n`.
    loss: f64,
    /// `dL_n / du`.
    slope: Vec<f64>,
    log_sum_exp: f64,
    probability: f64,
    argmax: u32,
    /// The row's share of `WeightedMean`'s denominator.
    weight: f64,
    kept: bool,
}

/// `None` for a row that is not finite.
fn evaluate(
    spec: &SoftmaxLoss,
    batch: &Batch<'_, f64>,
    counts: Option<&[u64]>,
    position: usize,
    logits: &[f64],
) -> Option<Row> {
    if !usable(logits) {
        return None;
    }
    let v = adjusted(spec, logits);
    let argmax = u32::try_from(argmax(logits)?).ok()?;
    let mut row = Row {
        loss: 0.0,
        slope: vec![0.0; logits.len()],
        log_sum_exp: 0.0,
        probability: 0.0,
        argmax,
        weight: 0.0,
        kept: false,
    };
    let row_weight = row_weight(batch, position);
    if let Targets::Soft(targets) = batch.targets {
        let targets = targets.chunks_exact(logits.len()).nth(position)?;
        if !log_sum_exp(&v).is_finite() {
            return None;
        }
        let part = soft(spec, &v, targets);
        row.log_sum_exp = part.log_sum_exp;
        row.probability = f64::NAN;
        row.weight = 1.0;
        row.kept = true;
        row.add(row_weight, &part);
        return Some(row);
    }
    for (label, share) in labels_of(spec, &batch.targets, position) {
        let part = labelled(spec, batch, counts, position, &v, label)?;
        if !row.kept {
            row.log_sum_exp = part.log_sum_exp;
            row.probability = part.probability;
            row.kept = true;
        }
        row.weight += share * at(&spec.class_weights, label, 1.0);
        row.add(row_weight * share, &part);
    }
    Some(row)
}

impl Row {
    fn add(&mut self, factor: f64, part: &Part) {
        self.loss += weighted(factor, part.loss);
        for (sum, slope) in self.slope.iter_mut().zip(&part.slope) {
            *sum += weighted(factor, *slope);
        }
    }
}

/// The labels of a row that are not ignored, with their shares.
fn labels_of(spec: &SoftmaxLoss, targets: &Targets<'_>, position: usize) -> Vec<(usize, f64)> {
    let label = |labels: &[i32]| {
        let label = labels.get(position).copied().filter(|label| Some(*label) != spec.ignore_index);
        label.and_then(|label| usize::try_from(label).ok())
    };
    let pairs = match *targets {
        Targets::Hard(labels) => vec![(label(labels), 1.0)],
        Targets::Mixed { first, second, lambda } => {
            let share = lambda.get(position).copied().map_or(1.0, f64::from);
            vec![(label(first), share), (label(second), 1.0 - share)]
        }
        Targets::Soft(_) | Targets::MultiHot(_) => Vec::new(),
    };
    pairs.into_iter().filter_map(|(label, share)| Some((label?, share))).collect()
}

/// What one target contributes, before the row's weight.
struct Part {
    loss: f64,
    /// By `u`.
    slope: Vec<f64>,
    log_sum_exp: f64,
    probability: f64,
}

/// `(1 - e_y) F + (e_y / K) sum_j w_j (logsumexp(u) - u_j) + z_loss logsumexp(u)^2`.
fn labelled(
    spec: &SoftmaxLoss,
    batch: &Batch<'_, f64>,
    counts: Option<&[u64]>,
    position: usize,
    v: &[f64],
    label: usize,
) -> Option<Part> {
    let u = with_label_terms(spec, batch, counts, position, v, label);
    let all = log_sum_exp(&u);
    if !all.is_finite() {
        return None;
    }
    let target = label_loss(&u, label);
    let mut f = focal(spec.focal, at(&spec.class_weights, label, 1.0), &target);
    if let Some(influence) = &spec.influence {
        let norms = batch.feature_norms.unwrap_or_default();
        f = influenced(influence, norms.get(position).copied().map_or(0.0, f64::from), &target, f);
    }
    let smoothing = at(&spec.class_smoothing, label, spec.label_smoothing);
    let f = Slope { value: weighted(1.0 - smoothing, f.value), derivative: (1.0 - smoothing) * f.derivative };
    // dl/du_j = q_j - [j = y], with -(1 - p) for the label from the mass of the others.
    let label_slope = u.iter().enumerate().map(|(class, value)| match class == label {
        true => -f.derivative * target.rest,
        false => f.derivative * (value - all).exp(),
    });
    let mut part = Part {
        loss: f.value,
        slope: label_slope.collect(),
        log_sum_exp: all,
        probability: target.probability,
    };
    if smoothing > 0.0 {
        let share = smoothing / v.len() as f64;
        let spread = (0..v.len()).map(|class| share * at(&spec.class_weights, class, 1.0));
        part.add_cross_entropy(&u, &spread.collect::<Vec<f64>>());
    }
    part.add_z_loss(&u, spec.z_loss);
    Some(part)
}

/// `sum_j tau_j (logsumexp(u) - u_j) + z_loss logsumexp(u)^2`, `tau_j = w_j ((1 - e) t_j + e / K)`, which is how
/// PyTorch's `cross_entropy` reads probabilities as targets.
fn soft(spec: &SoftmaxLoss, u: &[f64], targets: &[f32]) -> Part {
    let smoothing = spec.label_smoothing;
    let mass = |(class, target): (usize, &f32)| {
        let target = (1.0 - smoothing) * f64::from(*target) + smoothing / u.len() as f64;
        at(&spec.class_weights, class, 1.0) * target
    };
    let masses: Vec<f64> = targets.iter().enumerate().map(mass).collect();
    let mut part =
        Part { loss: 0.0, slope: vec![0.0; u.len()], log_sum_exp: log_sum_exp(u), probability: f64::NAN };
    part.add_cross_entropy(u, &masses);
    part.add_z_loss(u, spec.z_loss);
    part
}

impl Part {
    /// `sum_j mass_j (logsumexp(u) - u_j)`; by `u_j`: `(sum_k mass_k) q_j - mass_j`.
    fn add_cross_entropy(&mut self, u: &[f64], masses: &[f64]) {
        let all = self.log_sum_exp;
        let total: f64 = masses.iter().sum();
        for ((slope, value), mass) in self.slope.iter_mut().zip(u).zip(masses) {
            self.loss += weighted(*mass, all - value);
            *slope += total * (value - all).exp() - mass;
        }
    }

    /// `factor logsumexp(u)^2` (Chowdhery et al. 2022, arXiv 2204.02311, section 5); by `u_j`:
    /// `2 factor logsumexp(u) q_j`.
    fn add_z_loss(&mut self, u: &[f64], factor: f64) {
        let all = self.log_sum_exp;
        self.loss += factor * all * all;
        for (slope, value) in self.slope.iter_mut().zip(u) {
            *slope += 2.0 * factor * all * (value - all).exp();
        }
    }
}

/// `u` from `v`: the margin on the label (Cao et al. 2019, arXiv 1906.07413), the gates and seesaw's
/// factors on the others.
fn with_label_terms(
    spec: &SoftmaxLoss,
    batch: &Batch<'_, f64>,
    counts: Option<&[u64]>,
    position: usize,
    v: &[f64],
    label: usize,
) -> Vec<f64> {
    let row_gates =
        batch.gates.and_then(|gates| gates.chunks_exact(v.len()).nth(position)).unwrap_or_default();
    let seesaw = spec.seesaw.as_ref().zip(counts);
    let keeps = |class| {
        class == label || spec.gate.as_ref().is_none_or(|gate| gate_keeps(gate, position, row_gates, class))
    };
    let v: Vec<f64> = v
        .iter()
        .enumerate()
        .map(|(class, value)| if keeps(class) { *value } else { f64::NEG_INFINITY })
        .collect();
    let threshold = spec.seesaw.as_ref().map_or(0.0, |seesaw| compensation_threshold(seesaw, &v, label));
    let term = |(class, value): (usize, &f64)| {
        if class == label {
            return value - at(&spec.margin, class, 0.0);
        }
        match seesaw {
            Some((seesaw, counts)) => {
                value + mitigation(seesaw, counts, label, class) + compensation(seesaw, threshold, *value)
            }
            None => *value,
        }
    };
    v.iter().enumerate().map(term).collect()
}

/// Seesaw's counts for this batch: the authors' code adds the batch's labels first, but not ignored ones.
fn counts_after(spec: &SoftmaxLoss, batch: &Batch<'_, f64>) -> Option<Vec<u64>> {
    let seesaw = spec.seesaw.as_ref()?;
    let mut counts = seesaw.counts.clone();
    if seesaw.count_batch {
        for position in 0..batch.rows() {
            for (label, _) in labels_of(spec, &batch.targets, position) {
                if let Some(count) = counts.get_mut(label) {
                    *count = count.saturating_add(1);
                }
            }
        }
    }
    Some(counts)
}

fn denominator(spec: &SoftmaxLoss, rows: &[Row]) -> f64 {
    match spec.reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::Mean => rows.len() as f64,
        Reduction::MeanKept | Reduction::Positives => rows.iter().filter(|row| row.kept).count() as f64,
        Reduction::Elements => rows.iter().map(|row| row.slope.len()).sum::<usize>() as f64,
        Reduction::WeightedMean => rows.iter().map(|row| row.weight).sum(),
        Reduction::Fixed(d) => d,
    }
}
