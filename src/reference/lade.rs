//! LADE's regulariser, column by column over the batch.

use super::shared::{finite_rows, inverse};
use super::terms::weighted;
use super::{log_sum_exp, softmax};
use crate::batch::{Batch, Targets, Upstream};
use crate::{Error, LadeLoss, Result};

/// What [`LadeLoss`] gives for one batch, in f64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LadeOutput {
    /// The cross-entropy plus the weighted regulariser. The upstream factor is not in it.
    pub loss: f64,
    /// The cross-entropy, reduced; 0 without one.
    pub cross_entropy: f64,
    /// The regulariser R, without its weight.
    pub regulariser: f64,
    /// `[N, K]`: `d loss / d logits` times the upstream factor.
    pub gradient: Vec<f64>,
    /// `[K]`: `T1_j`.
    pub first_terms: Vec<f64>,
    /// `[K]`: `T2_j`; 0 where no row counts.
    pub second_terms: Vec<f64>,
}

/// Loss and gradient of `batch` under `spec`, in f64 on the CPU.
///
/// With no row, or with all rows ignored, loss and gradient are 0. Costs O(N K) time and memory.
///
/// ```
/// use longtail::{Batch, ClassCounts, LadeLoss, Targets, Upstream, reference};
///
/// // Two equal classes: log_ratio is 0, and so is every T1 and T2.
/// let loss = LadeLoss::regulariser(&ClassCounts::new([5, 5])?, 0.1);
/// let output = reference::lade(&loss, &Batch::new(&[0.0; 4], 2, Targets::Hard(&[0, 1])), Upstream::One)?;
/// assert!(output.regulariser.abs() < 1e-15);
/// assert!((output.gradient[0] + 0.25).abs() < 1e-8); // -1/2 (1 - 1/2)
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// What [`LadeLoss::check_batch`] reports; [`Error::Unexpected`] for an upstream gradient per row, as there is no loss
/// per row; [`Error::NonFinite`] for rows, ignored ones included, with a logit that is not finite.
pub fn lade(spec: &LadeLoss, batch: &Batch<'_, f64>, upstream: Upstream<'_>) -> Result<LadeOutput> {
    spec.check_batch(batch)?;
    let factor = whole_batch_factor(upstream)?;
    let rows = batch.logits.chunks_exact(batch.classes);
    let rows = rows.map(|row| row.iter().all(|logit| logit.is_finite()).then_some(row)).collect();
    let rows: Vec<&[f64]> = finite_rows("logits, which must be finite here,", rows)?;
    let labels: Vec<Option<usize>> = match batch.targets {
        Targets::Hard(labels) => {
            let kept =
                labels.iter().map(|label| Some(*label).filter(|label| Some(*label) != spec.ignore_index));
            kept.map(|label| label.and_then(|label| usize::try_from(label).ok())).collect()
        }
        _ => Vec::new(),
    };
    let mut output = LadeOutput {
        loss: 0.0,
        cross_entropy: 0.0,
        regulariser: 0.0,
        gradient: vec![0.0; batch.logits.len()],
        first_terms: Vec::with_capacity(batch.classes),
        second_terms: Vec::with_capacity(batch.classes),
    };
    if let Some(loss) = &spec.cross_entropy {
        let part = softmax(loss, batch, upstream)?;
        output.cross_entropy = part.loss;
        output.gradient = part.gradient;
    }
    for class in 0..batch.classes {
        let logits = rows.iter().map(|row| row.get(class).copied().unwrap_or(0.0));
        let column: Vec<(f64, bool)> = logits
            .zip(&labels)
            .filter_map(|(logit, label)| label.map(|label| (logit, label == class)))
            .collect();
        let part = column_part(spec, class, &column);
        output.regulariser += part.loss;
        output.first_terms.push(part.first);
        output.second_terms.push(part.second);
        let kept =
            labels.iter().enumerate().filter(|(_, label)| label.is_some()).map(|(position, _)| position);
        for (position, slope) in kept.zip(part.slope) {
            if let Some(sum) = output.gradient.get_mut(position * batch.classes + class) {
                *sum += factor * spec.weight * slope;
            }
        }
    }
    output.loss = output.cross_entropy + weighted(spec.weight, output.regulariser);
    Ok(output)
}

struct Column {
    first: f64,
    second: f64,
    loss: f64,
    /// By the kept rows' logits.
    slope: Vec<f64>,
}

/// `-pi (T1 - T2 - lambda T2^2)` of one class, from the kept rows' logits and whether each is of that class.
fn column_part(spec: &LadeLoss, class: usize, column: &[(f64, bool)]) -> Column {
    if column.is_empty() {
        return Column { first: 0.0, second: 0.0, loss: 0.0, slope: Vec::new() };
    }
    let at = |values: &[f64]| values.get(class).copied().unwrap_or(0.0);
    let (ratio, weight) = (at(&spec.log_ratio), at(&spec.class_weights));
    let own = column.iter().filter(|(_, own)| *own);
    let inverse_count = inverse(own.clone().count() as f64 + 1e-8);
    let first = own.map(|(logit, _)| logit).sum::<f64>() * inverse_count;
    let shifted: Vec<f64> = column.iter().map(|(logit, _)| logit + ratio).collect();
    let all = log_sum_exp(&shifted);
    let second = all - (column.len() as f64).ln();
    let by_second = 1.0 + 2.0 * spec.lambda * second;
    let slope = column.iter().zip(&shifted).map(|((_, own), shifted)| {
        let share = if *own { inverse_count } else { 0.0 };
        -weight * (share - (shifted - all).exp() * by_second)
    });
    Column {
        first,
        second,
        loss: -weight * (first - second - spec.lambda * second * second),
        slope: slope.collect(),
    }
}

/// A factor of the whole batch.
pub(super) fn whole_batch_factor(upstream: Upstream<'_>) -> Result<f64> {
    match upstream {
        Upstream::One => Ok(1.0),
        Upstream::Scalar(factor) => Ok(f64::from(factor)),
        Upstream::PerRow(_) => Err(Error::Unexpected {
            what: "an upstream gradient per row",
            planned: "for a loss of the whole batch",
        }),
    }
}
