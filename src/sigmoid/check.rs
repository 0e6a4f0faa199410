//! Whether a spec has a meaning for a number of columns and a kind of targets, and a batch for a spec.

use super::{Background, Link, RowWeight, SigmoidLoss, WeightNorm};
use crate::batch::{Batch, TargetKind, Targets, check_labels, check_values, length};
use crate::check::{bias, check_classes, column, combination, number, numbers};
use crate::random::DrawSource;
use crate::softmax::GateSource;
use crate::{Error, Reduction, Result};

const NOT_NEGATIVE: &str = "finite in f32 and at least 0";
const POSITIVE: &str = "finite in f32 and above 0";
const FINITE: &str = "finite in f32";

impl SigmoidLoss {
    /// Checks every number and column, and that the terms go together, for `classes` columns of logits and targets of
    /// `kind`. Every plan and every reference run begins with it.
    ///
    /// # Errors
    /// [`Error::Parameter`] for values out of range, [`Error::Length`] for columns that are not `[K]`,
    /// [`Error::Statistics`] for an empty class where counts divide, [`Error::Combination`] for terms without a joint
    /// meaning.
    pub fn check(&self, classes: usize, kind: TargetKind) -> Result<()> {
        check_classes(classes)?;
        self.check_numbers()?;
        self.check_columns(classes)?;
        self.check_background(classes)?;
        self.check_link()?;
        self.check_combinations(kind)
    }

    fn check_numbers(&self) -> Result<()> {
        number("scale", self.scale, self.scale > 0.0, POSITIVE)?;
        number("negative_scale", self.negative_scale, self.negative_scale > 0.0, POSITIVE)?;
        number("positive_factor", self.positive_factor, self.positive_factor >= 0.0, NOT_NEGATIVE)?;
        number("negative_factor", self.negative_factor, self.negative_factor >= 0.0, NOT_NEGATIVE)?;
        if let Some(focal) = &self.focal {
            number("focal gamma", focal.gamma, focal.gamma >= 0.0, NOT_NEGATIVE)?;
        }
        if let Some(rebalance) = &self.rebalance {
            number("rebalance alpha", rebalance.alpha, rebalance.alpha >= 0.0, NOT_NEGATIVE)?;
            number("rebalance beta", rebalance.beta, true, FINITE)?;
            number("rebalance gamma", rebalance.gamma, true, FINITE)?;
        }
        if let Some(balance) = &self.gradient_balance {
            number("gradient gamma", balance.gamma, balance.gamma >= 0.0, NOT_NEGATIVE)?;
            number("gradient mu", balance.mu, true, FINITE)?;
            number("gradient alpha", balance.alpha, balance.alpha >= 0.0, NOT_NEGATIVE)?;
        }
        if let Some(gate) = &self.gate {
            let probability = gate.drop_probability;
            number("drop_probability", probability, (0.0..=1.0).contains(&probability), "in [0, 1]")?;
        }
        if let Some(suppression) = &self.suppression {
            let threshold = suppression.threshold;
            number("the score threshold", threshold, threshold > 0.0 && threshold < 1.0, "in (0, 1)")?;
            let shares = [
                ("the rare classes' share", suppression.rare),
                ("the common classes' share", suppression.common),
                ("the frequent classes' share", suppression.frequent),
            ];
            for (name, share) in shares {
                number(name, share, (0.0..=1.0).contains(&share), "in [0, 1]")?;
            }
        }
        self.reduction.check()
    }

    fn check_columns(&self, classes: usize) -> Result<()> {
        if let Some(values) = &self.bias {
            bias("bias", values, classes)?;
        }
        if let Some(margin) = &self.margin {
            numbers("margin", &margin.columns, classes, FINITE, |_| true)?;
        }
        column("positive_weight", &self.positive_weight, classes, NOT_NEGATIVE, |value| value >= 0.0)?;
        column("class_weights", &self.class_weights, classes, NOT_NEGATIVE, |value| value >= 0.0)?;
        match &self.row_weight {
            None => {}
            Some(RowWeight::Mean(weights)) => {
                numbers("the row weights' classes", weights, classes, NOT_NEGATIVE, |value| value >= 0.0)?;
            }
            Some(RowWeight::EffectiveOfMean { counts, beta }) => effective(counts, *beta, classes)?,
            Some(RowWeight::EffectiveOfMin { counts, beta, absent }) => {
                effective(counts, *beta, classes)?;
                number("absent", *absent, *absent > 0.0, POSITIVE)?;
            }
        }
        if let Some(rebalance) = &self.rebalance {
            samples("rebalance counts", &rebalance.counts, classes)?;
        }
        if let Some(balance) = &self.gradient_balance {
            let sums = &balance.sums;
            for (name, column) in
                [("positive gradient sums", &sums.positive), ("negative gradient sums", &sums.negative)]
            {
                numbers(name, column, classes, NOT_NEGATIVE, |value| value >= 0.0)?;
            }
        }
        if let Some(gate) = self.gate.as_ref().filter(|gate| gate.source != GateSource::Given) {
            length("the gate's tail", gate.tail.len(), classes)?;
        }
        match &self.suppression {
            Some(suppression) => length("the suppression's groups", suppression.groups.len(), classes),
            None => Ok(()),
        }
    }

    fn check_background(&self, classes: usize) -> Result<()> {
        match self.background {
            Some(Background::Column(column)) if u64::from(column) >= classes as u64 => {
                Err(Error::Parameter {
                    name: "the background column",
                    value: f64::from(column),
                    expected: "one of the K columns",
                })
            }
            Some(Background::Label(label)) if usize::try_from(label).is_ok_and(|label| label < classes) => {
                Err(Error::Parameter {
                    name: "the background label",
                    value: f64::from(label),
                    expected: "outside 0..K; for a class with a column of its own, say Background::Column",
                })
            }
            Some(Background::Label(label)) if Some(label) == self.ignore_index => combination(
                "the background label",
                "the ignored index",
                "give them different numbers: background rows count",
            ),
            _ => Ok(()),
        }
    }

    /// The terms that only a sigmoid has.
    fn check_link(&self) -> Result<()> {
        let link = "the softmax link";
        let cure = "it is defined on a sigmoid: use Link::Sigmoid";
        match self {
            Self { link: Link::Sigmoid, .. } => Ok(()),
            Self { focal: Some(_), .. } => combination("focal", link, cure),
            Self { positive_weight: Some(_), .. } => combination("positive_weight", link, cure),
            Self { gradient_balance: Some(_), .. } => combination("gradient balance", link, cure),
            Self { suppression: Some(_), .. } => combination("suppression", link, cure),
            #[expect(clippy::float_cmp, reason = "the default exactly, or something else")]
            Self { negative_scale, .. } if *negative_scale != 1.0 => {
                combination("negative_scale", link, cure)
            }
            _ => Ok(()),
        }
    }

    fn check_combinations(&self, kind: TargetKind) -> Result<()> {
        match kind {
            TargetKind::Mixed => {
                return combination(
                    "two-label targets",
                    "sigmoids",
                    "mix the targets themselves, as multi-hot targets",
                );
            }
            TargetKind::Soft => {
                return combination(
                    "soft targets",
                    "sigmoids",
                    "give them as multi-hot targets, each in [0, 1]",
                );
            }
            TargetKind::MultiHot if self.suppression.is_some() => {
                return combination("suppression", "multi-hot targets", "it needs the row's one label");
            }
            TargetKind::Hard | TargetKind::MultiHot => {}
        }
        if self.focal.is_some_and(|focal| focal.weight_inside) {
            return combination(
                "focal",
                "the weight inside",
                "no sigmoid loss has it: set weight_inside to false",
            );
        }
        if self.suppression.is_some() && !matches!(self.background, Some(Background::Column(_))) {
            return Err(Error::Missing { what: "a background column", needed_by: "suppression" });
        }
        if self.weight_norm != WeightNorm::None && self.class_weights.is_some() && self.rebalance.is_some() {
            return combination("class weights with re-balancing", "a weight norm", "drop one of the three");
        }
        if self.givens() > 1 {
            return combination(
                "two terms with source `Given`",
                "one array of gates",
                "multiply them beforehand",
            );
        }
        match self.reduction {
            Reduction::WeightedMean => combination(
                "the weighted mean",
                "sigmoids",
                "weights belong to elements here: divide by something else",
            ),
            _ => Ok(()),
        }
    }

    /// How many terms take the batch's gates.
    pub(crate) fn givens(&self) -> usize {
        let gate = self.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given);
        let rows = self.suppression.as_ref().is_some_and(|term| term.source == DrawSource::Given);
        usize::from(gate) + usize::from(rows) + usize::from(self.given_weights)
    }

    /// Checks lengths and host-visible values of a batch (labels, targets, weights) against the spec, after
    /// [`check`](Self::check).
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Label`], [`Error::Parameter`], [`Error::Missing`], [`Error::Unexpected`], and what
    /// [`check`](Self::check) reports.
    pub fn check_batch<T>(&self, batch: &Batch<'_, T>) -> Result<()> {
        self.check(batch.classes, batch.targets.kind())?;
        let elements = batch.elements()?;
        length("logits", batch.logits.len(), elements)?;
        match batch.targets {
            Targets::Hard(labels) => {
                let background = match self.background {
                    Some(Background::Label(label)) => Some(label),
                    _ => None,
                };
                check_labels(labels, batch.classes, &[self.ignore_index, background])?;
            }
            Targets::MultiHot(targets) => {
                length("multi-hot targets", targets.len(), elements)?;
                check_values("a multi-hot target", targets, 0.0..=1.0, "in [0, 1]")?;
            }
            // Refused above.
            Targets::Mixed { .. } | Targets::Soft(_) => {}
        }
        batch.check_row_weights()?;
        if batch.feature_norms.is_some() {
            return Err(Error::Unexpected {
                what: "feature norms",
                planned: "for a loss that has no use for them",
            });
        }
        batch.check_gates(self.givens() > 0, elements)?;
        match batch.gates.filter(|_| self.given_weights) {
            Some(weights) => check_values("a given weight", weights, 0.0..=f32::MAX, "finite and at least 0"),
            None => Ok(()),
        }
    }
}

/// Effective numbers: counts that divide, and beta.
fn effective(counts: &[u64], beta: f64, classes: usize) -> Result<()> {
    samples("the row weights' counts", counts, classes)?;
    number("beta", beta, (0.0..1.0).contains(&beta), "in [0, 1)")
}

/// `[K]` counts, none of them 0.
fn samples(what: &'static str, counts: &[u64], classes: usize) -> Result<()> {
    length(what, counts.len(), classes)?;
    match counts.iter().position(|&count| count == 0) {
        None => Ok(()),
        class => Err(Error::Statistics {
            class,
            reason: format!(
                "it has count 0, and the weights divide by {what}: drop the class, or count it as 1"
            ),
        }),
    }
}
