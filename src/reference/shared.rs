//! What every family's reference does alike: bad rows, upstream factors, denominators, stable scalar functions.

use crate::batch::{Batch, Upstream, length};
use crate::{Error, Result};

/// Whether no logit is NaN or `+inf`; `-inf` masks a class.
pub(super) fn usable(logits: &[f64]) -> bool {
    logits.iter().all(|logit| !logit.is_nan() && *logit != f64::INFINITY)
}

/// All rows, or the error that names the first one that has no value.
pub(super) fn finite_rows<T>(what: &'static str, rows: Vec<Option<T>>) -> Result<Vec<T>> {
    match rows.iter().position(Option::is_none) {
        None => Ok(rows.into_iter().flatten().collect()),
        Some(row) => {
            let rows = rows.iter().filter(|row| row.is_none()).count() as u64;
            Err(Error::NonFinite { what, row: row as u64, rows })
        }
    }
}

/// `1 / d`, and 0 where nothing counts.
pub(super) fn inverse(denominator: f64) -> f64 {
    match denominator {
        0.0 => 0.0,
        d => 1.0 / d,
    }
}

/// The row's own weight, 1 without.
pub(super) fn row_weight<T>(batch: &Batch<'_, T>, position: usize) -> f64 {
    batch.row_weights.and_then(|weights| weights.get(position)).copied().map_or(1.0, f64::from)
}

/// A factor per row has to be `[N]`.
pub(super) fn check_upstream(upstream: Upstream<'_>, rows: usize) -> Result<()> {
    match upstream {
        Upstream::PerRow(factors) => length("the upstream gradient", factors.len(), rows),
        Upstream::One | Upstream::Scalar(_) => Ok(()),
    }
}

/// What the row's gradient is multiplied by.
pub(super) fn upstream_factor(upstream: Upstream<'_>, position: usize) -> f64 {
    match upstream {
        Upstream::One => 1.0,
        Upstream::Scalar(factor) => f64::from(factor),
        Upstream::PerRow(factors) => factors.get(position).copied().map_or(0.0, f64::from),
    }
}

/// `log(1 + e^x)`.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + e^-x)`.
pub(super) fn sigmoid(x: f64) -> f64 {
    let small = (-x.abs()).exp();
    if x > 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

/// `log(e^logit / e^all)`; a masked class has none of it, also where all are masked.
pub(super) fn log_share(logit: f64, all: f64) -> f64 {
    if logit == f64::NEG_INFINITY { logit } else { logit - all }
}
