//! How far a grouped loss's f32 result may be from the f64 reference.
//!
//! # Error analysis
//! `e = 2^-24`. A segment is a softmax of its own: with `U` the row's largest finite |logit|, the analysis of
//! `tolerance.rs` gives every probability, `1 - p` and the cross-entropy a relative error of
//! `rho = e (24 + 10 min(U, ..) + 4 sqrt(W))` (`6 U` for the argument, `4 min(U, 88)` for `exp`).
//!
//! * **Tree.** A leaf's score is a sum of at most D logits: with `S` the largest sum of |logits| along a path it has an
//!   absolute error of `D S e` more. So `rho_t = e (24 + (6 + D) S + 4 min(S, 88) + 4 sqrt(C))` for every leaf.
//!   A column's tree part is a sum over the leaves below it. Off the path to the label all of them have one sign: relative
//!   error `rho_t`. On the path the label's leaf has `-(1 - q)` and the others at most that together: `rho_t` times
//!   `2 (1 - q)`.
//! * **Sums.** The row's losses are of one sign; a sum of G of them has `G e`. Over N rows, and given weights of N rows:
//!   `e (8 + 2 sqrt(N))`. Counts are exact.
//! * The reference takes `logsumexp - z` of the target, to some units of `U 2^-53`: a loss below that is 0 there. It has
//!   `8 (U + S) 2^-53` for each segment.
//! * The product of the segments' probabilities is `exp(-l)` of their losses' sum `l`: relative `rho l`, and `exp`'s own.
//!
//! Below `TINY` nothing is asked: f32 flushes to 0. Gradients of 16 bits are rounded once more (`tolerance.rs`).

use crate::gpu::{Got, Up};
use crate::grouped::Data;
use crate::tolerance::{E, TINY, Worst, stored, worst};
use longtail::{Element, GroupedLoss, Upstream, reference};

/// The unit roundoff of f64.
const F64: f64 = 1.0 / 9_007_199_254_740_992.0;

/// What a batch should give, and the tolerances.
pub struct Expected {
    pub loss: (f64, f64),
    pub row_loss: (Vec<f64>, Vec<f64>),
    pub probability: (Vec<f64>, Vec<f64>),
    pub gradient: (Vec<f64>, Vec<f64>),
    pub argmax: Vec<u32>,
}

fn depth(spec: &GroupedLoss) -> f64 {
    spec.labels.iter().map(Vec::len).max().unwrap_or(1) as f64
}

/// The largest finite |logit|, and the largest sum of them along a label's columns.
fn sizes(spec: &GroupedLoss, row: &[f64]) -> (f64, f64) {
    let size = |z: f64| if z.is_finite() { z.abs() } else { 0.0 };
    let path = |columns: &Vec<u32>| columns.iter().map(|column| size(row[*column as usize])).sum::<f64>();
    (row.iter().map(|z| size(*z)).fold(0.0, f64::max), spec.labels.iter().map(path).fold(0.0, f64::max))
}

impl Expected {
    pub fn new(spec: &GroupedLoss, data: &Data, up: Up) -> longtail::Result<Self> {
        let upstream = match up {
            Up::One => Upstream::One,
            Up::Scalar(value) => Upstream::Scalar(value),
            Up::PerRow => Upstream::PerRow(&data.upstream),
        };
        let batch = data.batch(&data.wide);
        let want = reference::grouped(spec, &batch, upstream)?;
        // The tree's part alone.
        let tree = match spec.tree {
            Some(_) => Some(reference::grouped(&spec.clone().with_weight(0.0), &batch, upstream)?),
            None => None,
        };
        let scores = reference::grouped_scores(spec, &data.wide)?;
        let (rows, columns, labels) = (data.rows, data.columns, spec.labels.len());
        let kept = data.labels.iter().filter(|label| **label >= 0).count().max(1) as f64;
        let sums = E * (8.0 + 2.0 * (rows as f64).sqrt());
        let mut largest = 0f64;
        let mut expected = Self {
            loss: (want.loss, 0.0),
            row_loss: (want.row_loss.clone(), Vec::new()),
            probability: (Vec::new(), Vec::new()),
            gradient: (want.gradient.clone(), Vec::new()),
            argmax: want.argmax.clone(),
        };
        for row in 0..rows {
            let z = &data.wide[row * columns..(row + 1) * columns];
            let (size, path) = sizes(spec, z);
            let rho = sums + E * (24.0 + 6.0 * size + 4.0 * size.min(88.0) + 4.0 * (columns as f64).sqrt());
            let rho_tree = match tree {
                Some(_) => {
                    let leaves = 4.0 * (labels as f64).sqrt();
                    sums + E * (24.0 + (6.0 + depth(spec)) * path + 4.0 * path.min(88.0) + leaves)
                }
                None => 0.0,
            };
            largest = largest.max(rho).max(rho_tree);
            let label = usize::try_from(data.labels[row]).ok();
            let weight = data.row_weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
            let factor = match up {
                Up::One => 1.0,
                Up::Scalar(value) => f64::from(value),
                Up::PerRow => f64::from(data.upstream[row]),
            };
            // The tree's loss of the row gives 1 - q of its label.
            let tree_weight = spec.tree.map_or(0.0, |tree| tree.weight);
            let scale = weight * tree_weight;
            let tree_loss = tree.as_ref().map_or(0.0, |tree| tree.row_loss[row]);
            let rest = if scale > 0.0 { -(-tree_loss / scale).exp_m1() } else { 1.0 };
            for column in 0..columns {
                let at = row * columns + column;
                let of_tree = tree.as_ref().map_or(0.0, |tree| tree.gradient[at]);
                let on_path = label.is_some_and(|label| spec.labels[label].contains(&(column as u32)));
                let parts = match on_path {
                    true => 2.0 * rest * scale * factor.abs() / kept,
                    false => of_tree.abs(),
                };
                let of_segment = (want.gradient[at] - of_tree).abs();
                expected.gradient.1.push(rho * of_segment + rho_tree * parts + TINY);
            }
            let segments = spec.segments.len() as f64;
            let terms = E * segments;
            let of_segment = (want.row_loss[row] - tree_loss).abs();
            let own = segments * 8.0 * (size + path) * F64 * weight * (spec.weight + tree_weight);
            let bound = (rho + terms) * of_segment + (rho_tree + terms) * tree_loss + own + TINY;
            expected.row_loss.1.push(bound);
            let score = label.map_or(0.0, |label| scores[row * labels + label]);
            let log = if score > 0.0 { -score.ln() } else { 0.0 };
            expected.probability.0.push(score);
            expected.probability.1.push(score * (rho * log + E * (16.0 + 4.0 * log.min(88.0))) + TINY);
        }
        expected.loss.1 = (largest + E * spec.segments.len() as f64) * want.loss.abs() + TINY;
        Ok(expected)
    }

    /// The element that is worst in units of its tolerance.
    pub fn compare(&self, got: &Got, element: Element) -> Worst {
        let pairs = self.gradient.0.iter().zip(&self.gradient.1);
        let (gradient, bounds): (Vec<f64>, Vec<f64>) =
            pairs.map(|(want, bound)| stored(element, *want, *bound)).unzip();
        let none = vec![f64::NAN; self.row_loss.0.len()];
        let mut all = vec![
            worst("loss", &[got.loss], &[self.loss.0], &[self.loss.1]),
            worst("row_loss", &got.row_loss, &self.row_loss.0, &self.row_loss.1),
            worst("probability", &got.probability, &self.probability.0, &self.probability.1),
            worst("gradient", &got.gradient, &gradient, &bounds),
            worst("log_sum_exp", &got.log_sum_exp, &none, &none),
        ];
        let first = got.argmax.iter().zip(&self.argmax).position(|(got, want)| got != want);
        all.push(first.map(|index| Worst {
            what: "argmax",
            index,
            got: f64::from(got.argmax[index]),
            want: f64::from(self.argmax[index]),
            bound: 0.0,
            ratio: f64::INFINITY,
        }));
        let all = all.into_iter().flatten();
        all.max_by(|a, b| a.ratio.total_cmp(&b.ratio)).expect("the loss is always compared")
    }
}
