//! LADE: cross-entropy with priors, and a regulariser over the columns of the whole batch.

use crate::batch::{Batch, TargetKind, Targets, check_labels, length};
use crate::check::{check_classes, combination, number, numbers};
use crate::{ClassCounts, Error, Result, SoftmaxLoss};

/// The loss of LADE, label distribution disentangling: plain data, as every spec.
///
/// Formula, for logits `z`, `[N, K]`, labels `y`, and `N_j` rows of class `j` in the batch; sums over rows are over those
/// that are not ignored, `N` of them:
/// ```text
/// T1_j = sum_{n: y_n = j} z_nj / (N_j + 1e-8) ,   T2_j = logsumexp_n(z_nj + log_ratio_j) - log N
/// R    = -sum_j class_weights_j ( T1_j - T2_j - lambda T2_j^2 )
/// L    = cross_entropy + weight R
/// dR / dz_nj = -class_weights_j ( [j = y_n] / (N_j + 1e-8) - softmax_n(z_nj + log_ratio_j) (1 + 2 lambda T2_j) )
/// ```
/// Every class counts, also one without a row in the batch, whose `T1` is 0. `R` is one number for the batch: it has no
/// loss by row, and row weights are refused. A `-inf` logit has no meaning here.
///
/// A pass needs for each column the maximum and the sum of exponentials over the batch, `sum z` and the count of the
/// label's rows; a second pass writes the gradient.
///
/// On the device ([`gpu`](crate::gpu)) the regulariser reads the logits by columns and once more for the gradient. With a
/// cross-entropy they are read once for rows and columns and once for the gradient of both; by rows and by columns where
/// there are fewer than some 2,000 rows (on the software adapter some 64), and beside seesaw's floor, label smoothing and
/// soft targets. The largest logits of rows
/// ([`PlanRequest::with_argmax`](crate::gpu::PlanRequest::with_argmax)) cost the regulariser alone a pass by rows too. The
/// gradient may take the logits' place. The regulariser alone can also be added to the gradient of any other plan
/// ([`PlanRequest::with_added_gradient`](crate::gpu::PlanRequest::with_added_gradient)). An upstream gradient is one
/// number; row losses are those of the cross-entropy, or 0.
///
/// ```
/// use longtail::{Batch, ClassCounts, LadeLoss, Targets, gpu::Context};
/// # fn main() -> longtail::Result<()> {
/// // Two equal classes: every column's softmax over the batch is 1/2, each class's share 1/2.
/// let loss = LadeLoss::regulariser(&ClassCounts::new([5, 5])?, 0.1);
/// let out = Context::new()?.loss_and_grad(&loss, &Batch::new(&[0.0; 4], 2, Targets::Hard(&[0, 1])))?;
/// assert!(out.loss.abs() < 1e-6 && (out.gradient[0] + 0.25).abs() < 1e-6); // -1/2 (1 - 1/2)
/// # Ok(()) }
/// ```
///
/// Paper: Hong et al. 2020, Disentangling Label Distribution for Long-tailed Visual Recognition, arXiv 2012.00321.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LadeLoss {
    /// `[K]`: from the training split's priors to balanced ones, added to the logits in `T2`. Finite.
    pub log_ratio: Vec<f64>,
    /// `[K]`: each class's share of the regulariser; the priors. Finite, at least 0.
    pub class_weights: Vec<f64>,
    /// The factor of `T2^2`. Finite, at least 0. The authors' code: 0.1; iNaturalist 0.5.
    pub lambda: f64,
    /// The regulariser's factor. Finite, at least 0. The authors' configurations: 0.1; iNaturalist 0.05.
    pub weight: f64,
    /// What it is added to. Absent: the regulariser alone.
    pub cross_entropy: Option<SoftmaxLoss>,
    /// The label of rows that do not count; the cross-entropy's has to be the same. Default `Some(-100)`.
    pub ignore_index: Option<i32>,
}

impl LadeLoss {
    /// LADE with the authors' numbers: PriorCE plus 0.1 times the regulariser with `lambda` 0.1.
    ///
    /// ```text
    /// L = mean_n [ -log softmax(z + log(pi + 1e-9))_y ] + 0.1 R
    /// ```
    /// `counts`, `[K]`: of the training split; an empty class is fine. iNaturalist's configuration has 0.05 and 0.5:
    /// [`with_weight`](Self::with_weight), [`with_lambda`](Self::with_lambda). At test time the plain logits, plus the log
    /// of the test split's priors.
    ///
    /// Paper: Hong et al. 2020, arXiv 2012.00321.
    /// Cost: that of [`SoftmaxLoss::prior_ce`] with loss and gradient apart; each logit has an exponential more for the
    /// columns' sums and one for the gradient.
    pub fn lade(counts: &ClassCounts) -> Self {
        let regulariser = Self::regulariser(counts, 0.1).with_weight(0.1);
        Self { cross_entropy: Some(SoftmaxLoss::prior_ce(counts)), ..regulariser }
    }

    /// The regulariser alone (LADER), to add to another loss.
    ///
    /// ```text
    /// R = -sum_j pi_j ( T1_j - T2_j - lambda T2_j^2 ) ,   log_ratio_j = log(1 / K + 1e-9) - log(pi_j + 1e-9)
    /// ```
    /// `lambda`: finite, at least 0; the authors' code 0.1.
    ///
    /// Paper: Hong et al. 2020, arXiv 2012.00321. Errors: [`check`](Self::check) refuses other lambdas.
    pub fn regulariser(counts: &ClassCounts, lambda: f64) -> Self {
        let balanced = (1.0 / counts.classes() as f64 + 1e-9).ln();
        let log_ratio = counts.log_priors(1e-9).into_iter().map(|log| balanced - log).collect();
        Self {
            log_ratio,
            class_weights: counts.priors(),
            lambda,
            weight: 1.0,
            cross_entropy: None,
            ignore_index: Some(-100),
        }
    }

    /// Sets the regulariser's factor.
    #[must_use]
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the factor of `T2^2`.
    #[must_use]
    pub fn with_lambda(mut self, lambda: f64) -> Self {
        self.lambda = lambda;
        self
    }

    /// Sets what the regulariser is added to.
    #[must_use]
    pub fn with_cross_entropy(mut self, loss: Option<SoftmaxLoss>) -> Self {
        self.cross_entropy = loss;
        self
    }

    /// Sets the label of rows that do not count, for both parts; `None`: every row counts.
    #[must_use]
    pub fn with_ignore_index(mut self, index: Option<i32>) -> Self {
        self.ignore_index = index;
        if let Some(loss) = &mut self.cross_entropy {
            loss.ignore_index = index;
        }
        self
    }

    /// Checks every number and column for `classes` classes.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::Length`], [`Error::Combination`], and what the cross-entropy's check reports.
    pub fn check(&self, classes: usize) -> Result<()> {
        check_classes(classes)?;
        let not_negative = "finite in f32 and at least 0";
        number("lambda", self.lambda, self.lambda >= 0.0, not_negative)?;
        number("weight", self.weight, self.weight >= 0.0, not_negative)?;
        numbers("log_ratio", &self.log_ratio, classes, "finite in f32", |_| true)?;
        numbers("class_weights", &self.class_weights, classes, not_negative, |weight| weight >= 0.0)?;
        match &self.cross_entropy {
            Some(loss) if loss.ignore_index != self.ignore_index => combination(
                "the regulariser's ignored index",
                "the cross-entropy's",
                "ignore the same rows: with_ignore_index sets both",
            ),
            Some(loss) => loss.check(classes, TargetKind::Hard),
            None => Ok(()),
        }
    }

    /// Checks a batch against the spec, after [`check`](Self::check).
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Label`], [`Error::Combination`] for targets that are no labels,
    /// [`Error::Unexpected`] for row weights and other extra inputs.
    pub fn check_batch<T>(&self, batch: &Batch<'_, T>) -> Result<()> {
        self.check(batch.classes)?;
        length("logits", batch.logits.len(), batch.elements()?)?;
        let Targets::Hard(labels) = batch.targets else {
            return combination(
                "other targets than one label",
                "LADE",
                "its columns count rows by their label",
            );
        };
        check_labels(labels, batch.classes, &[self.ignore_index])?;
        let planned = "for a loss of the whole batch, which has no use for them";
        let given = [
            ("row weights", batch.row_weights.is_some()),
            ("feature norms", batch.feature_norms.is_some()),
            ("gates", batch.gates.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((what, _)) => Err(Error::Unexpected { what, planned }),
            None => Ok(()),
        }
    }
}
