//! The weights `W_nj` of the sigmoid family: functions of columns, of the row's targets, of the element's own logit and
//! of counter-based draws.

use super::rows::Row;
use super::shared::{inverse, sigmoid};
use super::sigmoid::{background_column, biased};
use super::terms::{at, gate_keeps, weighted};
use crate::SigmoidLoss;
use crate::batch::Batch;
use crate::classes::{Group, effective_weight};
use crate::random::{DrawSource, quota, sample_rows, step_key};
use crate::sigmoid::{Rebalance, RowWeight, Suppression, WeightNorm};

/// The rules, with what they need of the whole batch.
pub(super) struct Weights<'a> {
    spec: &'a SigmoidLoss,
    /// `[N, K]`, where a rule takes them from the batch.
    gates: &'a [f32],
    /// The divisor of [`WeightNorm::Batch`], else 1.
    largest: f64,
    /// The drawn background rows for each group, ascending.
    drawn: [(Group, Vec<u32>); 3],
}

impl<'a> Weights<'a> {
    pub(super) fn new(spec: &'a SigmoidLoss, batch: &Batch<'a, f64>, rows: &[Row<'_>]) -> Self {
        let largest = match spec.weight_norm {
            WeightNorm::Batch => {
                let kept = rows.iter().filter(|row| row.kept);
                kept.map(|row| largest(&basic(spec, row))).fold(0.0, f64::max)
            }
            _ => 1.0,
        };
        let background: Vec<u32> = rows
            .iter()
            .filter(|row| row.background)
            .filter_map(|row| u32::try_from(row.position).ok())
            .collect();
        let drawn = [Group::Few, Group::Medium, Group::Many].map(|group| {
            let rows = spec.suppression.as_ref().map(|term| drawn(term, group, &background));
            (group, rows.unwrap_or_default())
        });
        Self { spec, gates: batch.gates.unwrap_or_default(), largest, drawn }
    }

    /// `W_nj` of one row, `[K]`.
    pub(super) fn of_row(&self, row: &Row<'_>) -> Vec<f64> {
        let spec = self.spec;
        let classes = row.logits.len();
        if !row.kept {
            return vec![0.0; classes];
        }
        let basic = basic(spec, row);
        let norm = match spec.weight_norm {
            WeightNorm::Row => largest(&basic),
            _ => self.largest,
        };
        let gates = self.gates.chunks_exact(classes).nth(row.position).unwrap_or_default();
        let elements = basic.iter().zip(&row.targets).enumerate();
        elements
            .map(|(class, (&weight, &t))| {
                let weight = weighted(inverse(norm), weight) * sides(spec, class, t);
                let weight = weight * self.kept(row, gates, class, t);
                match gates.get(class).filter(|_| spec.given_weights) {
                    Some(given) => weight * f64::from(*given),
                    None => weight,
                }
            })
            .collect()
    }

    /// The share of the element that gates and suppression leave: positives always count.
    fn kept(&self, row: &Row<'_>, gates: &[f32], class: usize, t: f64) -> f64 {
        let open = match &self.spec.gate {
            Some(gate) if !row.background => gate_keeps(gate, row.position, gates, class),
            _ => true,
        };
        let counts = match &self.spec.suppression {
            Some(term) => self.counts(term, row, gates, class),
            None => true,
        };
        if open && counts { 1.0 } else { t }
    }

    /// Whether a negative counts (Wang et al. 2021, arXiv 2104.00885, and its code).
    fn counts(&self, term: &Suppression, row: &Row<'_>, gates: &[f32], class: usize) -> bool {
        if !row.background {
            return sigmoid(biased(self.spec, row, class)) >= term.threshold;
        }
        if background_column(self.spec) == Some(class) {
            return true;
        }
        if term.source == DrawSource::Given {
            return gates.get(class).is_none_or(|gate| *gate != 0.0);
        }
        let position = u32::try_from(row.position).unwrap_or(u32::MAX);
        let of_group = |(group, _): &&(Group, Vec<u32>)| Some(group) == term.groups.get(class);
        self.drawn.iter().find(of_group).is_some_and(|(_, rows)| rows.binary_search(&position).is_ok())
    }
}

/// The background rows in which a group's classes count.
fn drawn(term: &Suppression, group: Group, background: &[u32]) -> Vec<u32> {
    let (share, stream) = term.share(group);
    let key = step_key(term.seed, term.step);
    sample_rows(key, stream, background, quota(share, background.len()))
}

/// The weights of columns, of the row and of re-balancing, before the norm.
fn basic(spec: &SigmoidLoss, row: &Row<'_>) -> Vec<f64> {
    let of_row = spec.row_weight.as_ref().map_or(1.0, |rule| of_positives(rule, row));
    let share =
        spec.rebalance.as_ref().map(|rebalance| row.sum(|class| 1.0 / count(&rebalance.counts, class)));
    let of_class = |class: usize| {
        let rebalanced = match (&spec.rebalance, share) {
            (Some(rebalance), Some(share)) => rebalanced(rebalance, share, class),
            _ => 1.0,
        };
        at(&spec.class_weights, class, 1.0) * of_row * rebalanced
    };
    (0..row.logits.len()).map(of_class).collect()
}

/// `alpha + sigmoid(beta (r - gamma))`, `r = (1 / n_j) / sum_k t_k / n_k` (Wu et al. 2020, arXiv 2007.09654).
fn rebalanced(rebalance: &Rebalance, share: f64, class: usize) -> f64 {
    let r = 1.0 / count(&rebalance.counts, class) / share;
    // beta 0 is no re-balancing, also where r is infinite.
    let x = weighted(rebalance.beta, r - rebalance.gamma);
    rebalance.alpha + sigmoid(x)
}

/// The weight by effective number (Cui et al. 2019, arXiv 1901.05555) of the row's positives.
fn of_positives(rule: &RowWeight, row: &Row<'_>) -> f64 {
    match rule {
        RowWeight::Mean(weights) => {
            row.mean(|class| weights.get(class).copied().unwrap_or(1.0)).unwrap_or(1.0)
        }
        RowWeight::EffectiveOfMean { counts, beta } => {
            row.mean(|class| count(counts, class)).map_or(1.0, |mean| effective_weight(*beta, mean))
        }
        RowWeight::EffectiveOfMin { counts, beta, absent } => {
            let of_class = |(class, &t): (usize, &f64)| t * count(counts, class) + (1.0 - t) * absent;
            let smallest = row.targets.iter().enumerate().map(of_class).fold(f64::INFINITY, f64::min);
            effective_weight(*beta, smallest)
        }
    }
}

/// Factors of positives and negatives: focal's alpha, the negatives' 1 / lambda, accumulated gradients.
fn sides(spec: &SigmoidLoss, class: usize, t: f64) -> f64 {
    let (positive, negative) = spec.gradient_balance.as_ref().map_or((1.0, 1.0), |term| term.weights(class));
    let factor = t * spec.positive_factor + (1.0 - t) * spec.negative_factor;
    let tolerance = t + (1.0 - t) / spec.negative_scale;
    factor * tolerance * (t * positive + (1.0 - t) * negative)
}

fn largest(weights: &[f64]) -> f64 {
    weights.iter().copied().fold(0.0, f64::max)
}

fn count(counts: &[u64], class: usize) -> f64 {
    counts.get(class).copied().unwrap_or(1) as f64
}
