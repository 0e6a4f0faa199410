//! Range loss, pair by pair.

use super::lade::whole_batch_factor;
use super::shared::finite_rows;
use crate::batch::Upstream;
use crate::{RangeLoss, Result};

/// No distance is smaller: the square root of 1e-12.
const SMALLEST_DISTANCE: f64 = 1e-6;

/// What [`RangeLoss`] gives for one batch, in f64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RangeOutput {
    /// `intra_weight intra + inter_weight inter`. The upstream factor is not in it.
    pub loss: f64,
    /// The sum over classes of the harmonic means of their largest distances.
    pub intra: f64,
    /// What the nearest two centres lack of the margin.
    pub inter: f64,
    /// `[N, D]`: `d loss / d features` times the upstream factor; 0 for ignored rows.
    pub gradient: Vec<f64>,
}

/// Loss and gradient of features `[N, dimension]` with labels `[N]` under `spec`, in f64 on the CPU.
///
/// Labels may be any numbers. Costs O(N^2 D) time and O(N^2) memory at most.
///
/// ```
/// use longtail::{RangeLoss, Upstream, reference};
/// // One class at 0 and 3, another at 10 and 10.5: harmonic means 3 and 0.5; centres 1.5 and 10.25.
/// let output = reference::range(&RangeLoss::new(2, 9.0), &[0.0, 3.0, 10.0, 10.5], 1, &[0, 0, 1, 1], Upstream::One)?;
/// assert!((output.intra - 3.5).abs() < 1e-12 && (output.inter - 0.25).abs() < 1e-12);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// What [`RangeLoss::check_batch`] reports; [`Error::Unexpected`](crate::Error::Unexpected) for an upstream gradient per
/// row; [`Error::NonFinite`](crate::Error::NonFinite) for rows, ignored ones included, with a feature that is not finite.
pub fn range(
    spec: &RangeLoss,
    features: &[f64],
    dimension: usize,
    labels: &[i32],
    upstream: Upstream<'_>,
) -> Result<RangeOutput> {
    spec.check_batch(features, dimension, labels)?;
    let factor = whole_batch_factor(upstream)?;
    let rows = features.chunks_exact(dimension);
    let rows = rows.map(|row| row.iter().all(|value| value.is_finite()).then_some(row)).collect();
    let rows: Vec<&[f64]> = finite_rows("features, which must be finite,", rows)?;
    let classes = classes_of(spec, labels);

    let mut gradient = vec![vec![0.0; dimension]; rows.len()];
    let mut intra = 0.0;
    for class in &classes {
        intra += harmonic(spec, &rows, class, &mut gradient);
    }
    let inter = nearest_centres(spec, &rows, &classes, &mut gradient);
    Ok(RangeOutput {
        loss: spec.intra_weight * intra + spec.inter_weight * inter,
        intra,
        inter,
        gradient: gradient.into_iter().flatten().map(|slope| factor * slope).collect(),
    })
}

/// The rows of each class, classes in the order of their first row.
fn classes_of(spec: &RangeLoss, labels: &[i32]) -> Vec<Vec<usize>> {
    let mut classes: Vec<(i32, Vec<usize>)> = Vec::new();
    for (position, &label) in
        labels.iter().enumerate().filter(|(_, label)| Some(**label) != spec.ignore_index)
    {
        match classes.iter_mut().find(|(other, _)| *other == label) {
            Some((_, rows)) => rows.push(position),
            None => classes.push((label, vec![position])),
        }
    }
    classes.into_iter().map(|(_, rows)| rows).collect()
}

/// A distance and its derivative by the first point; 0 at the floor.
fn distance(a: &[f64], b: &[f64]) -> (f64, Vec<f64>) {
    let squared: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    let d = squared.sqrt();
    match d < SMALLEST_DISTANCE {
        true => (SMALLEST_DISTANCE, vec![0.0; a.len()]),
        false => (d, a.iter().zip(b).map(|(a, b)| (a - b) / d).collect()),
    }
}

/// A pair of rows, their distance and its derivative by the first row.
type Pair = (usize, usize, (f64, Vec<f64>));

/// `m / sum 1/d` over a class's `m` largest distances; by `d`: `m / (sum 1/d)^2 / d^2`.
fn harmonic(spec: &RangeLoss, rows: &[&[f64]], class: &[usize], gradient: &mut [Vec<f64>]) -> f64 {
    let row = |position: usize| rows.get(position).copied().unwrap_or_default();
    let pairs = class.iter().enumerate().flat_map(|(place, &a)| {
        let later = class.iter().skip(place + 1);
        later.map(move |&b| (a, b, distance(row(a), row(b))))
    });
    let mut pairs: Vec<Pair> = pairs.collect();
    // Stable: of equal distances the first.
    pairs.sort_by(|(_, _, (d, _)), (_, _, (e, _))| e.total_cmp(d));
    pairs.truncate(usize::try_from(spec.pairs).unwrap_or(usize::MAX));
    if pairs.is_empty() {
        return 0.0;
    }
    let sum: f64 = pairs.iter().map(|(_, _, (d, _))| 1.0 / d).sum();
    let value = pairs.len() as f64 / sum;
    for (a, b, (d, direction)) in &pairs {
        let slope = spec.intra_weight * value / sum / (d * d);
        pull(gradient, *a, direction, slope);
        pull(gradient, *b, direction, -slope);
    }
    value
}

/// `max(0, margin - d)` of the two nearest centres, means of their classes' rows.
fn nearest_centres(
    spec: &RangeLoss,
    rows: &[&[f64]],
    classes: &[Vec<usize>],
    gradient: &mut [Vec<f64>],
) -> f64 {
    let centre = |class: &Vec<usize>| {
        let mut sum = vec![0.0; rows.first().map_or(0, |row| row.len())];
        for row in class.iter().filter_map(|position| rows.get(*position)) {
            sum.iter_mut().zip(*row).for_each(|(sum, value)| *sum += value);
        }
        sum.into_iter().map(|sum| sum / class.len() as f64).collect::<Vec<f64>>()
    };
    let centres: Vec<Vec<f64>> = classes.iter().map(centre).collect();
    let mut nearest: Option<Pair> = None;
    for (a, first) in centres.iter().enumerate() {
        for (b, second) in centres.iter().enumerate().skip(a + 1) {
            let pair = distance(first, second);
            if nearest.as_ref().is_none_or(|(_, _, (d, _))| pair.0 < *d) {
                nearest = Some((a, b, pair));
            }
        }
    }
    let Some((a, b, (d, direction))) = nearest else { return 0.0 };
    if d >= spec.margin {
        return 0.0;
    }
    for (class, sign) in [(a, -1.0), (b, 1.0)] {
        let members = classes.get(class).map_or(&[][..], Vec::as_slice);
        for &row in members {
            pull(gradient, row, &direction, sign * spec.inter_weight / members.len() as f64);
        }
    }
    spec.margin - d
}

/// Adds a multiple of a direction to a row's gradient.
fn pull(gradient: &mut [Vec<f64>], row: usize, direction: &[f64], slope: f64) {
    if let Some(row) = gradient.get_mut(row) {
        row.iter_mut().zip(direction).for_each(|(sum, part)| *sum += slope * part);
    }
}
