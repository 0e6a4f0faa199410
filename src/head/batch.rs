//! What a head reads, in host memory.

use super::{ClassScale, Head, HeadLoss};
use crate::batch::{Batch, Targets};
use crate::{Error, Result};

/// Features, class weights and what else a head multiplies or adds, borrowed.
///
/// `T` is `f32` for the GPU and `f64` for the reference. Every number is finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadInput<'a, T = f32> {
    /// `[N, D]`, row-major.
    pub features: &'a [T],
    /// `[K, D]`, row-major.
    pub weights: &'a [T],
    /// D, at least 1.
    pub dim: usize,
    /// K, at least 1.
    pub classes: usize,
    /// `[K]`, for heads with a bias.
    pub bias: Option<&'a [T]>,
    /// `[K]`, for heads with a learned scale by class.
    pub class_scale: Option<&'a [T]>,
    /// `[D]`, for heads that centre the features.
    pub centre: Option<&'a [T]>,
}

/// A [`HeadInput`] with targets and the optional per-row inputs of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadBatch<'a, T = f32> {
    /// Features, weights and so on.
    pub input: HeadInput<'a, T>,
    /// What each row should be.
    pub targets: Targets<'a>,
    /// `[N]`, finite, at least 0: multiplies the row's loss. Absent: 1.
    pub row_weights: Option<&'a [f32]>,
    /// `[N]`, finite, at least 0: the L1 norm of the row's features, for the influence-balanced loss. Absent: that of
    /// this batch's features. A constant in the gradient either way.
    pub feature_norms: Option<&'a [f32]>,
    /// `[N, K]`: 0 removes the class from the row's softmax (for [`GateSource::Given`](crate::softmax::GateSource)).
    pub gates: Option<&'a [f32]>,
}

impl<'a, T: Copy + Into<f64>> HeadInput<'a, T> {
    /// Features `[N, dim]` and weights `[classes, dim]`, nothing else.
    pub fn new(features: &'a [T], weights: &'a [T], dim: usize, classes: usize) -> Self {
        Self { features, weights, dim, classes, bias: None, class_scale: None, centre: None }
    }

    /// Adds the classes' biases, `[K]`.
    #[must_use]
    pub fn with_bias(mut self, bias: &'a [T]) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Adds the classes' learned scales, `[K]`.
    #[must_use]
    pub fn with_class_scale(mut self, class_scale: &'a [T]) -> Self {
        self.class_scale = Some(class_scale);
        self
    }

    /// Adds what is subtracted from every row of features, `[D]`.
    #[must_use]
    pub fn with_centre(mut self, centre: &'a [T]) -> Self {
        self.centre = Some(centre);
        self
    }

    /// N: the number of whole rows of features.
    pub fn rows(&self) -> usize {
        self.features.len() / self.dim.max(1)
    }

    /// Checks the head, lengths, and that every number is finite.
    ///
    /// # Errors
    /// Those of [`Head::check`]; [`Error::Length`], [`Error::Missing`], [`Error::Unexpected`], [`Error::NonFinite`]
    /// with the row of features, the class of weights, or the element of a vector.
    pub fn check(&self, head: &Head) -> Result<()> {
        let (classes, dim) = (self.classes, self.dim);
        head.check(classes, dim)?;
        length("features", self.features.len(), product(self.rows(), dim, "the number of features")?)?;
        length("weights", self.weights.len(), product(classes, dim, "the number of weights")?)?;
        product(self.rows(), classes, "the number of logits")?;
        finite("features", self.features, dim)?;
        finite("weights", self.weights, dim)?;
        let scaled = head.class_scale != ClassScale::None;
        optional("biases", self.bias, head.bias, classes, "a head with a bias", "without a bias")?;
        optional(
            "class scales",
            self.class_scale,
            scaled,
            classes,
            "learned scaling",
            "without class scales",
        )?;
        optional("the centre", self.centre, head.centred, dim, "a head that centres", "without a centre")
    }
}

impl<'a, T: Copy + Into<f64>> HeadBatch<'a, T> {
    /// An input with its targets and nothing else.
    pub fn new(input: HeadInput<'a, T>, targets: Targets<'a>) -> Self {
        Self { input, targets, row_weights: None, feature_norms: None, gates: None }
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

    /// Adds gates, `[N, K]`.
    #[must_use]
    pub fn with_gates(mut self, gates: &'a [f32]) -> Self {
        self.gates = Some(gates);
        self
    }

    /// N.
    pub fn rows(&self) -> usize {
        self.input.rows()
    }

    /// The batch that the loss sees: `logits` after the head, and `feature_norms` where the loss needs them and none
    /// were given.
    pub(crate) fn with_logits<'b, U>(&self, logits: &'b [U], feature_norms: &'b [f32]) -> Batch<'b, U>
    where
        'a: 'b,
    {
        Batch {
            logits,
            classes: self.input.classes,
            targets: self.targets,
            row_weights: self.row_weights,
            feature_norms: self.feature_norms.or(Some(feature_norms).filter(|norms| !norms.is_empty())),
            gates: self.gates,
            teacher: None,
        }
    }

    /// The features' L1 norms, where `spec` needs them and none were given; else nothing.
    pub(crate) fn own_feature_norms(&self, spec: &HeadLoss) -> Vec<f32> {
        if spec.loss.influence.is_none() || self.feature_norms.is_some() {
            return Vec::new();
        }
        let norm = |row: &[T]| row.iter().map(|&value| value.into().abs()).sum::<f64>();
        #[expect(clippy::cast_possible_truncation, reason = "a batch has its norms in f32")]
        let narrow = |norm: f64| norm.min(f64::from(f32::MAX)) as f32;
        self.input.features.chunks_exact(self.input.dim.max(1)).map(|row| narrow(norm(row))).collect()
    }

    /// Checks head, loss, lengths and values.
    ///
    /// # Errors
    /// Those of [`HeadLoss::check`], [`HeadInput::check`] and [`Batch::check`](crate::Batch::check); [`Error::Length`]
    /// for targets of another number of rows.
    pub fn check(&self, spec: &HeadLoss) -> Result<()> {
        spec.check(self.input.classes, self.input.dim, self.targets.kind())?;
        self.input.check(&spec.head)?;
        let norms = self.own_feature_norms(spec);
        let batch = self.with_logits::<T>(&[], &norms);
        length("targets", batch.rows(), self.rows())?;
        batch.check_without_logits(&spec.loss)
    }
}

fn product(rows: usize, columns: usize, what: &'static str) -> Result<usize> {
    rows.checked_mul(columns).ok_or(Error::Limit {
        what: what.into(),
        needed: u64::MAX,
        allowed: usize::MAX as u64,
        cure: "use fewer rows",
    })
}

fn length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Length { what, expected: expected as u64, found: found as u64 }),
    }
}

fn optional<T: Copy + Into<f64>>(
    what: &'static str,
    values: Option<&[T]>,
    wanted: bool,
    expected: usize,
    needed_by: &'static str,
    planned: &'static str,
) -> Result<()> {
    match (values, wanted) {
        (Some(values), true) => {
            length(what, values.len(), expected)?;
            finite(what, values, 1)
        }
        (None, true) => Err(Error::Missing { what, needed_by }),
        (Some(_), false) => Err(Error::Unexpected { what, planned }),
        (None, false) => Ok(()),
    }
}

/// Names the first row with a number that is not finite.
pub(super) fn finite<T: Copy + Into<f64>>(what: &'static str, values: &[T], width: usize) -> Result<()> {
    let bad = |row: &&[T]| row.iter().any(|&value| !value.into().is_finite());
    let rows = || values.chunks(width.max(1));
    match rows().position(|row| bad(&row)) {
        None => Ok(()),
        Some(row) => Err(Error::NonFinite { what, row: row as u64, rows: rows().filter(bad).count() as u64 }),
    }
}
