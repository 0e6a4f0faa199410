//! Classifier heads: logits, predictions, and the gradients from a loss back to features and weights.

use std::cmp::Ordering;

use super::head_terms::{dot, logit, normalised, through_norm, with_margin, without_effect};
use super::{Output, softmax};
use crate::batch::{Targets, Upstream};
use crate::head::{ClassScale, Effect, Head, HeadBatch, HeadInput, HeadLoss, Inference, Similarity};
use crate::{Error, Result, SoftmaxLoss};

/// What a head with a loss gives for one batch, in f64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HeadOutput {
    /// `[N, K]`: the logits that the loss saw, the label's margin included.
    pub logits: Vec<f64>,
    /// What the loss gives for these logits; its `gradient` is `d loss / d logits`.
    pub loss: Output,
    /// `[N, D]`: `d loss / d features`, with denominator and upstream factor, as all of these.
    pub feature_gradient: Vec<f64>,
    /// `[K, D]`: `d loss / d weights`.
    pub weight_gradient: Vec<f64>,
    /// `[K]`: `d loss / d bias`, where the head has one.
    pub bias_gradient: Option<Vec<f64>>,
    /// `[K]`: `d loss / d class_scale`, where the head has one.
    pub class_scale_gradient: Option<Vec<f64>>,
    /// `d loss / d scale`, for a temperature that is learned.
    pub scale_gradient: f64,
}

/// What a head predicts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Predictions {
    /// `[N, K]`: the logits, with what [`Inference`] asks for.
    pub logits: Vec<f64>,
    /// `[N, top]`: the classes of the largest logits, in descending order, the lower class first on ties.
    pub classes: Vec<u32>,
    /// `[N, top]`: their logits.
    pub top_logits: Vec<f64>,
}

/// The logits `[N, K]` of a head, without the label's margin, in f64 on the CPU. Costs O(N K D).
///
/// # Errors
/// Those of [`HeadInput::check`]; [`Error::NonFinite`] for rows whose logits overflow.
pub fn logits(head: &Head, input: &HeadInput<'_, f64>) -> Result<Vec<f64>> {
    input.check(head)?;
    let rows = Rows::new(head, input, None);
    finite(rows.logits(head, input, |_, _, similarity| similarity), input.classes)
}

/// Only inputs beyond f32 overflow.
fn finite(logits: Vec<f64>, classes: usize) -> Result<Vec<f64>> {
    let bad = |row: &&[f64]| row.iter().any(|logit| !logit.is_finite());
    let rows = || logits.chunks(classes.max(1));
    match rows().position(|row| bad(&row)) {
        None => Ok(logits),
        Some(row) => {
            let rows = rows().filter(bad).count() as u64;
            Err(Error::NonFinite { what: "logits", row: row as u64, rows })
        }
    }
}

/// The predictions of a head, in f64 on the CPU.
///
/// ```
/// use longtail::head::{Head, HeadInput, Inference};
/// use longtail::{ClassCounts, SoftmaxLoss, reference};
///
/// let input = HeadInput::new(&[1.0, 1.0], &[3.0, 0.0, 0.0, 2.9, -1.0, 0.0], 2, 3);
/// let top = reference::predict(&Head::linear(), &input, &Inference::top(2))?;
/// assert_eq!(top.classes, [0, 1]);
/// // The rarer class wins once the priors are taken out.
/// let counts = ClassCounts::new([80, 10, 10])?;
/// let adjusted = Inference::default().with_adjustment(SoftmaxLoss::post_hoc_bias(&counts, 1.0)?);
/// assert_eq!(reference::predict(&Head::linear(), &input, &adjusted)?.classes, [1]);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// Those of [`HeadInput::check`] and [`Inference::check`]; [`Error::NonFinite`] for rows whose logits overflow.
pub fn predict(head: &Head, input: &HeadInput<'_, f64>, inference: &Inference) -> Result<Predictions> {
    inference.check(head, input.classes, input.dim)?;
    input.check(head)?;
    let rows = Rows::new(head, input, inference.effect.as_ref());
    let mut found = Predictions {
        logits: finite(rows.logits(head, input, |_, _, similarity| similarity), input.classes)?,
        classes: Vec::new(),
        top_logits: Vec::new(),
    };
    for row in found.logits.chunks_exact_mut(input.classes) {
        for (logit, adjustment) in row.iter_mut().zip(inference.adjustment.iter().flatten()) {
            *logit -= adjustment;
        }
        let mut order: Vec<(u32, f64)> = (0..).zip(row.iter().copied()).collect();
        // A stable sort leaves the lower class first on ties.
        order.sort_by(|(_, a), (_, b)| b.partial_cmp(a).unwrap_or(Ordering::Equal));
        found.classes.extend(order.iter().take(inference.top).map(|(class, _)| class));
        found.top_logits.extend(order.iter().take(inference.top).map(|(_, logit)| logit));
    }
    Ok(found)
}

/// Loss and every gradient of `batch` under `spec`, in f64 on the CPU.
///
/// The gradients are multiplied by `upstream`; the loss is not. Costs O(N K D) time and O((N + K) D + N K) memory.
///
/// ```
/// use longtail::head::{Head, HeadBatch, HeadInput, HeadLoss};
/// use longtail::{SoftmaxLoss, Targets, Upstream, reference};
///
/// // One feature, two classes, p = (3/4, 1/4): dL/dz = (-1/4, 1/4), dL/dw_j = dL/dz_j x, dL/dx = sum_j dL/dz_j w_j.
/// let w = 3f64.ln() / 2.0;
/// let weights = [w, 0.0];
/// let input = HeadInput::new(&[2.0], &weights, 1, 2);
/// let spec = HeadLoss::new(Head::linear(), SoftmaxLoss::cross_entropy());
/// let output = reference::head(&spec, &HeadBatch::new(input, Targets::Hard(&[0])), Upstream::One)?;
/// assert!((output.loss.loss - (4.0f64 / 3.0).ln()).abs() < 1e-15);
/// assert!((output.weight_gradient[0] + 0.5).abs() < 1e-15);
/// assert!((output.feature_gradient[0] + 0.25 * w).abs() < 1e-15);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// Those of [`HeadBatch::check`] and of [`softmax`](crate::reference::softmax).
pub fn head(spec: &HeadLoss, batch: &HeadBatch<'_, f64>, upstream: Upstream<'_>) -> Result<HeadOutput> {
    batch.check(spec)?;
    let HeadLoss { head, loss } = spec;
    let input = &batch.input;
    let rows = Rows::new(head, input, None);
    let labels = labels(loss, &batch.targets);
    let is_label = |row, class| labels.get(row).copied().flatten() == Some(class);
    let logits = rows.logits(head, input, |row, class, similarity| match is_label(row, class) {
        true => with_margin(head.margin, similarity).value,
        false => similarity,
    });
    let norms = batch.own_feature_norms(spec);
    let loss = softmax(loss, &batch.with_logits(&logits, &norms), upstream)?;

    let mut features = vec![0.0; rows.features.len()];
    let mut weights = vec![0.0; rows.weights.len()];
    let mut bias = vec![0.0; input.classes];
    let mut class_scale = vec![0.0; input.classes];
    let mut scale = 0.0;
    let pairs = features.chunks_exact_mut(input.dim).zip(rows.features.chunks_exact(input.dim));
    for ((row, (to_a, a)), slopes) in pairs.enumerate().zip(loss.gradient.chunks_exact(input.classes)) {
        let classes = weights.chunks_exact_mut(input.dim).zip(rows.weights.chunks_exact(input.dim));
        for ((class, (to_b, b)), slope) in classes.enumerate().zip(slopes) {
            let similarity = similarity(head.similarity, a, b);
            let target = match is_label(row, class) {
                true => with_margin(head.margin, similarity),
                false => with_margin(Default::default(), similarity),
            };
            let (f, b_value) = (at(input.class_scale, class, 1.0), at(input.bias, class, 0.0));
            // z = f scale t + b or f (scale t + b).
            let logits_scaled = head.class_scale == ClassScale::Logits;
            if let Some(sum) = bias.get_mut(class) {
                *sum += slope * if logits_scaled { f } else { 1.0 };
            }
            if let Some(sum) = class_scale.get_mut(class) {
                *sum += slope * (head.scale * target.value + if logits_scaled { b_value } else { 0.0 });
            }
            scale += slope * f * target.value;
            let to_similarity = slope * f * head.scale * target.derivative;
            // d(a.b) = b da + a db; d(-|a - b|^2) = 2 (b - a) da + 2 (a - b) db.
            for (((to_a, a), to_b), b) in to_a.iter_mut().zip(a).zip(to_b).zip(b) {
                let (by_a, by_b) = match head.similarity {
                    Similarity::Dot => (*b, *a),
                    Similarity::NegativeSquaredDistance => (2.0 * (b - a), 2.0 * (a - b)),
                };
                *to_a += to_similarity * by_a;
                *to_b += to_similarity * by_b;
            }
        }
    }
    let through = |norm, rows: &[f64], slopes: &[f64]| -> Vec<f64> {
        let pairs = rows.chunks_exact(input.dim).zip(slopes.chunks_exact(input.dim));
        pairs.flat_map(|(row, slope)| through_norm(head, norm, row, slope)).collect()
    };
    Ok(HeadOutput {
        feature_gradient: through(head.features, &centred(input), &features),
        weight_gradient: through(head.weights, input.weights, &weights),
        bias_gradient: head.bias.then_some(bias),
        class_scale_gradient: (head.class_scale != ClassScale::None).then_some(class_scale),
        scale_gradient: scale,
        logits,
        loss,
    })
}

/// Each row's one label, where it has one that is not ignored.
fn labels(spec: &SoftmaxLoss, targets: &Targets<'_>) -> Vec<Option<usize>> {
    let label = |label: &i32| match Some(*label) == spec.ignore_index {
        true => None,
        false => usize::try_from(*label).ok(),
    };
    match targets {
        Targets::Hard(labels) => labels.iter().map(label).collect(),
        _ => Vec::new(),
    }
}

fn at(values: Option<&[f64]>, position: usize, absent: f64) -> f64 {
    values.and_then(|values| values.get(position)).copied().unwrap_or(absent)
}

/// `x - c`.
fn centred(input: &HeadInput<'_, f64>) -> Vec<f64> {
    let features = input.features.chunks_exact(input.dim);
    let moved = features.flat_map(|row| {
        row.iter().enumerate().map(|(position, value)| value - at(input.centre, position, 0.0))
    });
    moved.collect()
}

fn similarity(kind: Similarity, a: &[f64], b: &[f64]) -> f64 {
    match kind {
        Similarity::Dot => dot(a, b),
        Similarity::NegativeSquaredDistance => a.iter().zip(b).map(|(a, b)| -(a - b).powi(2)).sum(),
    }
}

/// Normalised features `[N, D]` and weights `[K, D]`.
struct Rows {
    features: Vec<f64>,
    weights: Vec<f64>,
}

impl Rows {
    fn new(head: &Head, input: &HeadInput<'_, f64>, effect: Option<&Effect>) -> Self {
        let features = centred(input);
        let features = features.chunks_exact(input.dim).flat_map(|row| {
            let row = normalised(head, head.features, row);
            effect.map_or(row.clone(), |effect| without_effect(head, effect, &row))
        });
        let weights =
            input.weights.chunks_exact(input.dim).flat_map(|row| normalised(head, head.weights, row));
        Self { features: features.collect(), weights: weights.collect() }
    }

    /// The logits, with `change` applied to each row's and class's similarity.
    fn logits(
        &self,
        head: &Head,
        input: &HeadInput<'_, f64>,
        change: impl Fn(usize, usize, f64) -> f64,
    ) -> Vec<f64> {
        let mut logits = Vec::with_capacity(input.rows() * input.classes);
        for (row, a) in self.features.chunks_exact(input.dim).enumerate() {
            for (class, b) in self.weights.chunks_exact(input.dim).enumerate() {
                let similarity = change(row, class, similarity(head.similarity, a, b));
                let (f, bias) = (at(input.class_scale, class, 1.0), at(input.bias, class, 0.0));
                logits.push(logit(head, similarity, f, bias));
            }
        }
        logits
    }
}
