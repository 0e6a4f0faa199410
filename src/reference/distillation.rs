//! Distillation, row by row and expert by expert.

use super::shared::{check_upstream, finite_rows, inverse, row_weight, upstream_factor, usable};
use super::terms::weighted;
use super::{argmax, log_sum_exp, softmax};
use crate::batch::{Batch, Targets, Upstream};
use crate::{DistillationLoss, Reduction, Result};

/// What [`DistillationLoss`] gives for one batch, in f64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DistillationOutput {
    /// The two parts with their factors. Upstream factors are not in it.
    pub loss: f64,
    /// The divergence, reduced, without its factor.
    pub divergence: f64,
    /// The base, reduced, without its factor; 0 without a base.
    pub base: f64,
    /// `[N]`: each row's loss, both parts with their factors, not divided by a denominator; 0 for ignored rows.
    pub row_loss: Vec<f64>,
    /// `[N, K]`: `d loss / d` the student's logits times the upstream factor; the denominators are in it.
    pub gradient: Vec<f64>,
    /// `[N]`: the class of the student's largest logit, the lowest such class on ties.
    pub argmax: Vec<u32>,
}

/// Loss and gradient of the student's `batch` and the `teacher`'s logits, `[N, M]`, under `spec`, in f64 on the CPU.
///
/// The gradient is multiplied by `upstream`; the loss is not. With no row, or with all rows ignored, both are 0. Costs
/// O(N K) time and memory.
///
/// ```
/// use longtail::{Batch, DistillationLoss, Targets, Upstream, reference};
///
/// let batch = Batch::new(&[0.0, 0.0], 2, Targets::Hard(&[0]));
/// let teacher = [0.0, 3f64.ln()]; // q = 1/4, 3/4
/// let output = reference::distillation(&DistillationLoss::hinton(1.0), &batch, &teacher, Upstream::One)?;
/// assert!((output.loss - (0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln())).abs() < 1e-15);
/// assert!((output.gradient[0] - 0.25).abs() < 1e-15); // s - q
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// What [`DistillationLoss::check_batch`] reports; [`Error::Length`](crate::Error::Length) for an upstream gradient that
/// is not `[N]`; [`Error::NonFinite`](crate::Error::NonFinite) for rows of student or teacher, ignored ones included,
/// with a NaN or +inf, and for rows that count in which an expert or the student has nothing but masks.
pub fn distillation(
    spec: &DistillationLoss,
    batch: &Batch<'_, f64>,
    teacher: &[f64],
    upstream: Upstream<'_>,
) -> Result<DistillationOutput> {
    spec.check_batch(batch, teacher)?;
    check_upstream(upstream, batch.rows())?;
    let students: Vec<&[f64]> = rows("logits", batch.logits, batch.classes)?;
    let teachers: Vec<&[f64]> = rows("teacher logits", teacher, spec.teacher_columns(batch.classes))?;
    let kept: Vec<bool> = (0..batch.rows()).map(|position| counts(spec, batch, position)).collect();
    let parts = students.iter().zip(&teachers).zip(&kept);
    let parts = parts
        .map(|((student, teacher), kept)| match kept {
            true => divergence(spec, student, teacher),
            false => Some(Part { loss: 0.0, slope: vec![0.0; student.len()] }),
        })
        .collect();
    let parts: Vec<Part> = finite_rows("logits of student or teacher", parts)?;

    let inverse = inverse(match spec.reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::Mean => kept.len() as f64,
        Reduction::Fixed(d) => d,
        // Means over elements and positives are refused by the check.
        _ => kept.iter().filter(|kept| **kept).count() as f64,
    });
    let mut output = DistillationOutput {
        loss: 0.0,
        divergence: 0.0,
        base: 0.0,
        row_loss: vec![0.0; parts.len()],
        gradient: vec![0.0; batch.logits.len()],
        argmax: students.iter().map(|logits| index(argmax(logits))).collect(),
    };
    if let Some(base) = &spec.base {
        let part = softmax(base, batch, upstream)?;
        output.base = part.loss;
        output.row_loss = part.row_loss.iter().map(|loss| weighted(spec.base_weight, *loss)).collect();
        output.gradient = part.gradient.iter().map(|slope| weighted(spec.base_weight, *slope)).collect();
    }
    let sums = output.row_loss.iter_mut().zip(output.gradient.chunks_exact_mut(batch.classes));
    for (position, (part, (row_loss, gradient))) in parts.iter().zip(sums).enumerate() {
        let own = row_weight(batch, position);
        output.divergence += weighted(inverse, weighted(own, part.loss));
        *row_loss += weighted(spec.weight, weighted(own, part.loss));
        let factor = inverse * spec.weight * own * upstream_factor(upstream, position);
        gradient.iter_mut().zip(&part.slope).for_each(|(sum, slope)| *sum += weighted(factor, *slope));
    }
    output.loss = weighted(spec.weight, output.divergence) + weighted(spec.base_weight, output.base);
    Ok(output)
}

fn rows<'a>(what: &'static str, logits: &'a [f64], columns: usize) -> Result<Vec<&'a [f64]>> {
    let rows = logits.chunks_exact(columns.max(1));
    finite_rows(what, rows.map(|row| usable(row).then_some(row)).collect())
}

fn index(position: Option<usize>) -> u32 {
    position.and_then(|position| u32::try_from(position).ok()).unwrap_or_default()
}

/// Whether a row has a label that is not ignored; with dense targets every row counts.
fn counts(spec: &DistillationLoss, batch: &Batch<'_, f64>, position: usize) -> bool {
    let kept = |labels: &[i32]| labels.get(position).copied() != spec.ignore_index;
    match batch.targets {
        Targets::Hard(labels) => kept(labels),
        Targets::Mixed { first, second, .. } => kept(first) || kept(second),
        Targets::Soft(_) | Targets::MultiHot(_) => true,
    }
}

struct Part {
    loss: f64,
    /// By the student's logits.
    slope: Vec<f64>,
}

/// `c sum_e w_e KL(q || s)` (Hinton et al. 2015, arXiv 1503.02531; the power: He et al. 2021, arXiv 2103.15042; experts:
/// Xiang et al. 2020, arXiv 2001.01536). `None` where nothing but masks is left.
fn divergence(spec: &DistillationLoss, student: &[f64], teacher: &[f64]) -> Option<Part> {
    let mut part = Part { loss: 0.0, slope: vec![0.0; student.len()] };
    let factor = if spec.squared { spec.temperature * spec.temperature } else { 1.0 };
    let Some(experts) = &spec.experts else {
        let classes: Vec<usize> = (0..student.len()).collect();
        add(&mut part, spec, factor, student, &classes, teacher)?;
        return Some(part);
    };
    let mut start = 0;
    for expert in experts {
        let classes: Vec<usize> =
            expert.classes.iter().filter_map(|class| usize::try_from(*class).ok()).collect();
        let own = teacher.get(start..start + classes.len())?;
        start += classes.len();
        add(&mut part, spec, factor * expert.weight, student, &classes, own)?;
    }
    Some(part)
}

/// One teacher's `factor KL(q || s)` over its classes; by `z_j`: `factor (s_j - q_j) / T`.
fn add(
    part: &mut Part,
    spec: &DistillationLoss,
    factor: f64,
    student: &[f64],
    classes: &[usize],
    teacher: &[f64],
) -> Option<()> {
    let temperature = spec.temperature;
    let own = classes.iter().map(|class| student.get(*class).map(|logit| logit / temperature));
    let own: Vec<f64> = own.collect::<Option<_>>()?;
    let wanted: Vec<f64> = teacher.iter().map(|logit| spec.teacher_power * logit / temperature).collect();
    let (all, all_wanted) = (log_sum_exp(&own), log_sum_exp(&wanted));
    if !all.is_finite() || !all_wanted.is_finite() {
        return None;
    }
    for ((class, own), wanted) in classes.iter().zip(&own).zip(&wanted) {
        let (log_s, log_q) = (own - all, wanted - all_wanted);
        let q = log_q.exp();
        // 0 log 0 is 0.
        let term = if q == 0.0 { 0.0 } else { q * (log_q - log_s) };
        part.loss += weighted(factor, term);
        *part.slope.get_mut(*class)? += factor * (log_s.exp() - q) / temperature;
    }
    Some(())
}
