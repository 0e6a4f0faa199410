//! Classes and objectness: a loss over the classes of objects, and one that tells objects from background.

use crate::batch::{Batch, TargetKind, Targets, check_labels, length};
use crate::check::{check_classes, combination};
use crate::{ClassCounts, Error, Reduction, Result, SoftmaxLoss};

/// A loss of `K` class logits and two objectness logits: plain data, as every spec.
///
/// The logits of a row are `[N, K + 2]`: the classes, then object and background. Labels are classes `0..K`, and `K` for
/// background.
/// ```text
/// L = classes(z_n[0..K], y_n) over rows of objects + objectness(z_n[K..], 0 for objects, 1 for background)
/// ```
/// Each part reduces with its own denominator; [`Reduction::Mean`] and [`Reduction::Fixed`] count or ignore background
/// alike in both. On the device ([`gpu`](crate::gpu)) one plan runs both over their columns of the same matrices, in place
/// too; log-sum-exp, target probability and argmax are those of the classes' part, row losses the sum of both. Gates there
/// are drawn, not given.
///
/// ```
/// use longtail::{Batch, ClassCounts, ObjectnessLoss, Targets, gpu::Context};
/// # fn main() -> longtail::Result<()> {
/// // One class: a row of an object and one of background.
/// let loss = ObjectnessLoss::seesaw(&ClassCounts::new([7])?);
/// let out = Context::new()?.loss_and_grad(&loss, &Batch::new(&[0.0; 6], 3, Targets::Hard(&[0, 1])))?;
/// assert!((out.loss - 2f32.ln()).abs() < 1e-6 && (out.gradient[1] + 0.25).abs() < 1e-6);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ObjectnessLoss {
    /// The classes' loss; background and ignored rows get its ignored index, which has to be set.
    pub classes: SoftmaxLoss,
    /// The objectness's loss, of two classes; ignored rows get its ignored index.
    pub objectness: SoftmaxLoss,
}

impl Default for ObjectnessLoss {
    /// Cross-entropy for both.
    fn default() -> Self {
        Self::new(SoftmaxLoss::cross_entropy(), SoftmaxLoss::cross_entropy()).with_reduction(Reduction::Mean)
    }
}

impl ObjectnessLoss {
    /// From the two parts.
    pub fn new(classes: SoftmaxLoss, objectness: SoftmaxLoss) -> Self {
        Self { classes, objectness }
    }

    /// Seesaw loss in a detector, as mmdetection has it.
    ///
    /// ```text
    /// L = sum over rows of objects of seesaw(z[0..K], y) / N + sum_n CE(z[K..], background?) / N
    /// ```
    /// `counts`, `[K]`: the samples of each class seen so far; the batch's objects are added first, background is not
    /// counted. `N` is the number of all sampled boxes; with another `avg_factor`:
    /// [`with_reduction`](Self::with_reduction)`(Reduction::Fixed(d))`. At test time a class's score is
    /// `softmax(z[0..K])_j p(object)` ([`reference::objectness_scores`](crate::reference::objectness_scores)).
    ///
    /// Paper: Wang et al. 2020, arXiv 2008.10032; code: mmdetection. The paper's normalised linear layer comes before.
    /// Cost: that of [`SoftmaxLoss::seesaw`] on K columns and of cross-entropy on two.
    pub fn seesaw(counts: &ClassCounts) -> Self {
        Self { classes: SoftmaxLoss::seesaw(counts), ..Self::default() }.with_reduction(Reduction::Mean)
    }

    /// Sets the reduction of both parts.
    #[must_use]
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.classes.reduction = reduction;
        self.objectness.reduction = reduction;
        self
    }

    /// Sets the label of rows that do not count, for both parts.
    #[must_use]
    pub fn with_ignore_index(mut self, index: i32) -> Self {
        self.classes.ignore_index = Some(index);
        self.objectness.ignore_index = Some(index);
        self
    }

    /// How many columns the logits have for `classes` classes of objects.
    pub fn columns(&self, classes: usize) -> usize {
        classes.saturating_add(2)
    }

    /// Checks both parts for `columns` columns of logits.
    ///
    /// # Errors
    /// [`Error::Parameter`] for fewer than three columns, [`Error::Missing`] without an ignored index,
    /// [`Error::Combination`] for two of them, and what the parts' checks report.
    pub fn check(&self, columns: usize) -> Result<()> {
        check_classes(columns)?;
        let Some(classes) = columns.checked_sub(2).filter(|classes| *classes > 0) else {
            return Err(Error::Parameter {
                name: "the number of columns",
                value: columns as f64,
                expected: "at least 3: one class, object, background",
            });
        };
        self.classes.check(classes, TargetKind::Hard)?;
        self.objectness.check(2, TargetKind::Hard)?;
        let Some(index) = self.classes.ignore_index else {
            return Err(Error::Missing { what: "an ignored index", needed_by: "background rows" });
        };
        if self.objectness.ignore_index != Some(index) {
            return combination("the classes' ignored index", "the objectness's", "ignore the same rows");
        }
        match usize::try_from(index).is_ok_and(|index| index <= classes) {
            true => Err(Error::Parameter {
                name: "the ignored index",
                value: f64::from(index),
                expected: "none of the classes and of background",
            }),
            false => Ok(()),
        }
    }

    /// Checks a batch against the spec, after [`check`](Self::check). The batch's `classes` are the logits' columns.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Label`], [`Error::Parameter`], [`Error::Unexpected`] for gates,
    /// [`Error::Combination`] for targets that are no labels.
    pub fn check_batch<T>(&self, batch: &Batch<'_, T>) -> Result<()> {
        self.check(batch.classes)?;
        length("logits", batch.logits.len(), batch.elements()?)?;
        let Targets::Hard(labels) = batch.targets else {
            return combination(
                "other targets than one label",
                "objectness",
                "give labels, K for background",
            );
        };
        check_labels(labels, batch.classes.saturating_sub(1), &[self.classes.ignore_index])?;
        batch.check_row_weights()?;
        batch.check_gates(false, 0)
    }
}
