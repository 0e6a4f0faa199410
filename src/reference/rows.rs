//! The rows of a batch of binary questions: targets by class, and what kind of row it is.

use super::shared::usable;
use crate::SigmoidLoss;
use crate::batch::{Batch, Targets};
use crate::sigmoid::Background;

/// One row.
pub(super) struct Row<'a> {
    pub(super) position: usize,
    pub(super) logits: &'a [f64],
    /// `[K]`: `t_nj`.
    pub(super) targets: Vec<f64>,
    /// Whether its label is not the ignored index.
    pub(super) kept: bool,
    /// Whether it shows no object.
    pub(super) background: bool,
}

impl Row<'_> {
    /// `sum_k t_nk f(k)`.
    pub(super) fn sum(&self, f: impl Fn(usize) -> f64) -> f64 {
        let present = self.targets.iter().enumerate().filter(|(_, target)| **target > 0.0);
        // Not `sum`, which is -0 of nothing: its reciprocal has a sign.
        present.fold(0.0, |sum, (class, target)| sum + target * f(class))
    }

    /// `sum_k t_nk f(k) / sum_k t_nk`; `None` without a positive.
    pub(super) fn mean(&self, f: impl Fn(usize) -> f64) -> Option<f64> {
        let positives = self.sum(|_| 1.0);
        (positives > 0.0).then(|| self.sum(f) / positives)
    }
}

/// All rows; `None` for one with a NaN or `+inf` logit.
pub(super) fn rows_of<'a>(spec: &SigmoidLoss, batch: &Batch<'a, f64>) -> Vec<Option<Row<'a>>> {
    let classes = batch.classes;
    let row = |(position, logits): (usize, &'a [f64])| {
        if !usable(logits) {
            return None;
        }
        let mut row = Row { position, logits, targets: vec![0.0; classes], kept: true, background: false };
        match batch.targets {
            Targets::Hard(labels) => {
                let label = labels.get(position).copied()?;
                row.kept = Some(label) != spec.ignore_index;
                row.background = row.kept && is_background(spec.background, label);
                let target = usize::try_from(label).ok().and_then(|label| row.targets.get_mut(label));
                if let Some(target) = target.filter(|_| row.kept) {
                    *target = 1.0;
                }
            }
            Targets::MultiHot(targets) => {
                let targets = targets.chunks_exact(classes).nth(position)?;
                row.targets = targets.iter().map(|target| f64::from(*target)).collect();
            }
            // Refused by the check.
            Targets::Mixed { .. } | Targets::Soft(_) => return None,
        }
        Some(row)
    };
    batch.logits.chunks_exact(classes).enumerate().map(row).collect()
}

fn is_background(background: Option<Background>, label: i32) -> bool {
    match background {
        Some(Background::Label(number)) => label == number,
        Some(Background::Column(column)) => u32::try_from(label).is_ok_and(|label| label == column),
        None => false,
    }
}
