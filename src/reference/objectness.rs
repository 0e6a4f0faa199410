//! Classes and objectness: two softmax losses over two runs of columns.

use super::shared::{check_upstream, finite_rows, log_share, usable};
use super::{Output, log_sum_exp, softmax};
use crate::batch::{Batch, Targets, Upstream, length};
use crate::{ObjectnessLoss, Result};

/// What [`ObjectnessLoss`] gives for one batch, in f64.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ObjectnessOutput {
    /// The sum of the two parts. Upstream factors are not in it.
    pub loss: f64,
    /// `[N, K + 2]`: `d loss / d logits` times the upstream factor; the denominators are in it.
    pub gradient: Vec<f64>,
    /// The classes' part over the first K columns; background rows are ignored ones.
    pub classes: Output,
    /// The objectness's part over the last two columns; class 0 is object.
    pub objectness: Output,
}

/// Loss and gradient of `batch` under `spec`, in f64 on the CPU. The batch's `classes` are the logits' columns, `K + 2`.
///
/// Everything else is as for [`softmax`].
///
/// ```
/// use longtail::{Batch, ClassCounts, ObjectnessLoss, Targets, Upstream, reference};
/// // One class: a row of an object and one of background.
/// let loss = ObjectnessLoss::seesaw(&ClassCounts::new([7])?);
/// let batch = Batch::new(&[0.0; 6], 3, Targets::Hard(&[0, 1]));
/// let output = reference::objectness(&loss, &batch, Upstream::One)?;
/// assert!((output.loss - 2f64.ln()).abs() < 1e-15);
/// assert_eq!(output.gradient, [0.0, -0.25, 0.25, 0.0, 0.25, -0.25]);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// What [`ObjectnessLoss::check_batch`] reports, and the errors of the parts.
pub fn objectness(
    spec: &ObjectnessLoss,
    batch: &Batch<'_, f64>,
    upstream: Upstream<'_>,
) -> Result<ObjectnessOutput> {
    spec.check_batch(batch)?;
    check_upstream(upstream, batch.rows())?;
    let classes = batch.classes.saturating_sub(2);
    let (mut of_classes, mut of_objectness) = (Vec::new(), Vec::new());
    for row in batch.logits.chunks_exact(batch.classes) {
        let (first, last) = row.split_at(classes);
        of_classes.extend_from_slice(first);
        of_objectness.extend_from_slice(last);
    }
    let labels = if let Targets::Hard(labels) = batch.targets { labels } else { &[] };
    // Checked: the ignored index is neither a class nor the background.
    let ignored = spec.classes.ignore_index.unwrap_or(-100);
    let background = i32::try_from(classes).unwrap_or(i32::MAX);
    let class = |label: &i32| if *label == background { ignored } else { *label };
    let object = |label: &i32| match *label {
        label if label == ignored => ignored,
        label => i32::from(label == background),
    };
    let class_labels: Vec<i32> = labels.iter().map(class).collect();
    let object_labels: Vec<i32> = labels.iter().map(object).collect();
    let mut first = Batch::new(&of_classes, classes, Targets::Hard(&class_labels));
    first.row_weights = batch.row_weights;
    first.feature_norms = batch.feature_norms;
    let mut second = Batch::new(&of_objectness, 2, Targets::Hard(&object_labels));
    second.row_weights = batch.row_weights;
    let classes_part = softmax(&spec.classes, &first, upstream)?;
    let objectness_part = softmax(&spec.objectness, &second, upstream)?;
    let rows = classes_part.gradient.chunks_exact(classes).zip(objectness_part.gradient.chunks_exact(2));
    Ok(ObjectnessOutput {
        loss: classes_part.loss + objectness_part.loss,
        gradient: rows.flat_map(|(first, last)| first.iter().chain(last).copied()).collect(),
        classes: classes_part,
        objectness: objectness_part,
    })
}

/// Scores at test time, `[N, K + 1]`, from logits `[N, K + 2]`: `softmax(z[0..K])_j p(object)`, then `p(background)`
/// (mmdetection's seesaw loss; Wang et al. 2020, arXiv 2008.10032).
///
/// ```
/// let scores = longtail::reference::objectness_scores(&[0.0, 0.0, 3f64.ln(), 0.0], 4)?;
/// assert!((scores[0] - 0.375).abs() < 1e-15 && (scores[2] - 0.25).abs() < 1e-15);
/// # Ok::<(), longtail::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`](crate::Error::Parameter) for fewer than three columns, [`Error::Length`](crate::Error::Length) for
/// logits that are no whole rows, [`Error::NonFinite`](crate::Error::NonFinite) for rows with a NaN or +inf logit.
pub fn objectness_scores(logits: &[f64], columns: usize) -> Result<Vec<f64>> {
    ObjectnessLoss::default().check(columns)?;
    length("logits", logits.len(), logits.len() / columns * columns)?;
    let rows = logits.chunks_exact(columns).map(|row| usable(row).then_some(row)).collect();
    let scores = finite_rows("logits", rows)?.into_iter().flat_map(|row: &[f64]| {
        let (classes, objectness) = row.split_at(columns.saturating_sub(2));
        let (all, both) = (log_sum_exp(classes), log_sum_exp(objectness));
        let object = objectness.first().map_or(0.0, |logit| log_share(*logit, both));
        let background = objectness.last().map_or(0.0, |logit| log_share(*logit, both).exp());
        classes.iter().map(move |logit| (log_share(*logit, all) + object).exp()).chain([background])
    });
    Ok(scores.collect())
}
