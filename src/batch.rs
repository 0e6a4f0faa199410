//! A batch of rows in host memory: what [`Context`](crate::gpu::Context) and [`reference`](crate::reference) take.

use crate::softmax::{GateSource, SoftmaxLoss};
use crate::{Error, Result};

/// What each row should be.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Targets<'a> {
    /// One label per row, `[N]`: a class `0..K`, or the spec's ignored index.
    Hard(&'a [i32]),
    /// Two labels per row, each `[N]`, and the first one's share `lambda` in `[0, 1]`, `[N]`
    /// (mixup, remix, UniMix): `L_n = lambda_n L(a_n) + (1 - lambda_n) L(b_n)`, each label with its own weight,
    /// margin and gate exemption. A label that is the ignored index contributes nothing; the row is ignored
    /// when both are.
    Mixed {
        /// The first label of each row, `[N]`.
        first: &'a [i32],
        /// The second label of each row, `[N]`.
        second: &'a [i32],
        /// The first label's share, `[N]`, in `[0, 1]`.
        lambda: &'a [f32],
    },
    /// A weight for every class, `[N, K]` row-major, finite and at least 0; rows need not sum to 1:
    /// `L_n = -sum_j w_j t_nj log q_nj`.
    Soft(&'a [f32]),
    /// Whether each class is present, `[N, K]` row-major, in `[0, 1]`: any number of classes per row, each a
    /// question of its own (the [sigmoid family](crate::SigmoidLoss)).
    MultiHot(&'a [f32]),
}

/// The kind of [`Targets`], which a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TargetKind {
    /// [`Targets::Hard`].
    #[default]
    Hard,
    /// [`Targets::Mixed`].
    Mixed,
    /// [`Targets::Soft`].
    Soft,
    /// [`Targets::MultiHot`].
    MultiHot,
}

/// The gradient of something downstream with respect to this loss: what an autograd engine hands to a
/// backward pass. It multiplies the gradient; the loss itself does not change.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Upstream<'a> {
    /// 1: the loss is what is differentiated. The default.
    #[default]
    One,
    /// One factor for the whole batch (the upstream gradient of the reduced loss, or a loss scale).
    Scalar(f32),
    /// One factor per row, `[N]`, on top of the reduction's denominator (the upstream gradient of the rows'
    /// own losses with [`Reduction::None`](crate::Reduction::None)).
    PerRow(&'a [f32]),
}

impl Targets<'_> {
    /// Which kind of targets these are.
    pub fn kind(&self) -> TargetKind {
        match self {
            Targets::Hard(_) => TargetKind::Hard,
            Targets::Mixed { .. } => TargetKind::Mixed,
            Targets::Soft(_) => TargetKind::Soft,
            Targets::MultiHot(_) => TargetKind::MultiHot,
        }
    }
}

/// Logits, targets and the optional per-row inputs of one batch, borrowed.
///
/// `T` is `f32` for the GPU and `f64` for the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batch<'a, T = f32> {
    /// `[N, K]`, row-major. `-inf` masks a class of a row.
    pub logits: &'a [T],
    /// K, at least 1.
    pub classes: usize,
    /// What each row should be.
    pub targets: Targets<'a>,
    /// `[N]`, finite, at least 0: multiplies the row's loss. Absent: 1.
    pub row_weights: Option<&'a [f32]>,
    /// `[N]`, finite, at least 0: the L1 norm of the row's feature vector, for the influence-balanced loss.
    pub feature_norms: Option<&'a [f32]>,
    /// `[N, K]`: 0 removes the class from the row's softmax, anything else keeps it
    /// (for [`GateSource::Given`]). The target's own gate is ignored. The sigmoid family also takes weights here, and
    /// the grouped family the weights or gates of its segments, `[N, G]`.
    pub gates: Option<&'a [f32]>,
    /// `[N, M]`: the teacher's logits, for distillation on the device.
    pub teacher: Option<&'a [T]>,
}

impl<'a, T> Batch<'a, T> {
    /// A batch of `logits` `[N, classes]` with its targets and nothing else.
    pub fn new(logits: &'a [T], classes: usize, targets: Targets<'a>) -> Self {
        Self { logits, classes, targets, row_weights: None, feature_norms: None, gates: None, teacher: None }
    }

    /// Adds per-row weights, `[N]`.
    #[must_use]
    pub fn with_row_weights(mut self, row_weights: &'a [f32]) -> Self {
        self.row_weights = Some(row_weights);
        self
    }

    /// Adds the features' L1 norms, `[N]`.
    #[must_use]
    pub fn with_feature_norms(mut self, feature_norms: &'a [f32]) -> Self {
        self.feature_norms = Some(feature_norms);
        self
    }

    /// Adds gates, `[N, K]` (grouped losses: `[N, G]`).
    #[must_use]
    pub fn with_gates(mut self, gates: &'a [f32]) -> Self {
        self.gates = Some(gates);
        self
    }

    /// Adds a teacher's logits, `[N, M]`: M is K, or the experts' classes one expert after the other.
    #[must_use]
    pub fn with_teacher(mut self, teacher: &'a [T]) -> Self {
        self.teacher = Some(teacher);
        self
    }

    /// N: the number of labels (hard, mixed), or of whole rows in the soft or multi-hot targets.
    pub fn rows(&self) -> usize {
        match self.targets {
            Targets::Hard(labels) | Targets::Mixed { first: labels, .. } => labels.len(),
            Targets::Soft(targets) | Targets::MultiHot(targets) => targets.len() / self.classes.max(1),
        }
    }

    /// The number of logits, N times K.
    ///
    /// # Errors
    /// [`Error::Limit`] where a `usize` cannot hold it.
    pub(crate) fn elements(&self) -> Result<usize> {
        self.rows().checked_mul(self.classes).ok_or(Error::Limit {
            what: "the number of logits".into(),
            needed: u64::MAX,
            allowed: usize::MAX as u64,
            cure: "use fewer rows",
        })
    }

    /// Checks lengths and host-visible values (labels, lambda, weights, targets) against the spec.
    /// Logits are not looked at.
    ///
    /// # Errors
    /// [`Error::Parameter`] (no classes, values out of range), [`Error::Length`], [`Error::Label`],
    /// [`Error::NonFinite`], [`Error::Missing`], [`Error::Unexpected`], and what
    /// [`SoftmaxLoss::check`] reports.
    pub fn check(&self, spec: &SoftmaxLoss) -> Result<()> {
        spec.check(self.classes, self.targets.kind())?;
        length("logits", self.logits.len(), self.elements()?)?;
        self.check_without_logits(spec)
    }

    /// [`check`](Self::check) but for the logits, which a head has yet to make.
    pub(crate) fn check_without_logits(&self, spec: &SoftmaxLoss) -> Result<()> {
        let (rows, classes) = (self.rows(), self.classes);
        spec.check(classes, self.targets.kind())?;
        let elements = self.elements()?;
        match self.targets {
            Targets::Hard(labels) => check_labels(labels, classes, &[spec.ignore_index])?,
            Targets::Mixed { first, second, lambda } => {
                length("second labels", second.len(), rows)?;
                length("lambda", lambda.len(), rows)?;
                check_labels(first, classes, &[spec.ignore_index])?;
                check_labels(second, classes, &[spec.ignore_index])?;
                check_values("lambda", lambda, 0.0..=1.0, "in [0, 1]")?;
            }
            Targets::Soft(targets) | Targets::MultiHot(targets) => {
                length("soft targets", targets.len(), elements)?;
                check_values("a soft target", targets, 0.0..=f32::MAX, "finite and at least 0")?;
            }
        }
        self.check_row_weights()?;
        match (self.feature_norms, spec.influence.is_some()) {
            (Some(norms), true) => {
                length("feature norms", norms.len(), rows)?;
                check_values("a feature norm", norms, 0.0..=f32::MAX, "finite and at least 0")?;
            }
            (None, true) => {
                return Err(Error::Missing {
                    what: "feature norms",
                    needed_by: "the influence-balanced loss",
                });
            }
            (Some(_), false) => {
                return Err(Error::Unexpected {
                    what: "feature norms",
                    planned: "without influence balancing",
                });
            }
            (None, false) => {}
        }
        let given = spec.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given);
        self.check_gates(given, elements)
    }

    /// The optional row weights.
    pub(crate) fn check_row_weights(&self) -> Result<()> {
        let Some(weights) = self.row_weights else { return Ok(()) };
        length("row weights", weights.len(), self.rows())?;
        check_values("a row weight", weights, 0.0..=f32::MAX, "finite and at least 0")
    }

    /// Gates, which are there exactly where a term of the spec wants them.
    pub(crate) fn check_gates(&self, given: bool, expected: usize) -> Result<()> {
        match (self.gates, given) {
            (Some(gates), true) => length("gates", gates.len(), expected),
            (None, true) => Err(Error::Missing { what: "gates", needed_by: "the gate's source `Given`" }),
            (Some(_), false) => Err(Error::Unexpected { what: "gates", planned: "without given gates" }),
            (None, false) => Ok(()),
        }
    }
}

/// A slice's length against what the shape asks for.
pub(crate) fn length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Length { what, expected: expected as u64, found: found as u64 }),
    }
}

/// Labels that are classes or one of the `others` (the ignored index, a background label).
pub(crate) fn check_labels(labels: &[i32], classes: usize, others: &[Option<i32>]) -> Result<()> {
    let bad = |label: &i32| {
        !others.contains(&Some(*label)) && usize::try_from(*label).map_or(true, |label| label >= classes)
    };
    match labels.iter().position(bad) {
        None => Ok(()),
        Some(row) => Err(Error::Label {
            row: row as u64,
            label: labels.get(row).map(|label| i64::from(*label)),
            classes,
            rows: labels.iter().filter(|label| bad(label)).count() as u64,
        }),
    }
}

pub(crate) fn check_values(
    name: &'static str,
    values: &[f32],
    range: std::ops::RangeInclusive<f32>,
    expected: &'static str,
) -> Result<()> {
    match values.iter().find(|value| !range.contains(value)) {
        None => Ok(()),
        Some(value) => Err(Error::Parameter { name, value: f64::from(*value), expected }),
    }
}
