//! Whether a spec has a meaning for a number of columns and a kind of targets, and a batch for a spec.

use super::layout::Layout;
use super::{GroupReduction, GroupedLoss};
use crate::batch::{Batch, TargetKind, Targets, check_labels, check_values, length};
use crate::check::{check_classes, combination, number, structure};
use crate::random::DrawSource;
use crate::{Error, Reduction, Result};

const NOT_NEGATIVE: &str = "finite in f32 and at least 0";

impl GroupedLoss {
    /// Checks segments, labels, the tree and every number for `columns` columns of logits and targets of `kind`. Every
    /// plan and every reference run begins with it.
    ///
    /// # Errors
    /// [`Error::Parameter`] for values out of range, [`Error::Length`] for another width,
    /// [`Error::Structure`] for labels without or with too many columns and for trees that are none,
    /// [`Error::Combination`] for terms without a joint meaning.
    pub fn check(&self, columns: usize, kind: TargetKind) -> Result<()> {
        check_classes(columns)?;
        check_classes(self.labels.len())?;
        self.check_numbers()?;
        if self.segments.iter().any(|segment| segment.columns == 0) {
            return Err(Error::Parameter { name: "a segment's columns", value: 0.0, expected: "at least 1" });
        }
        let layout = Layout::new(self)?;
        length("the segments' columns", layout.width(), columns)?;
        for label in 0..self.labels.len() {
            self.check_label(&layout, label)?;
        }
        self.check_combinations(kind)?;
        match self.segments.iter().any(|segment| segment.parent.is_some()) || self.tree.is_some() {
            true => self.check_tree(&layout),
            false => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<()> {
        number("weight", self.weight, self.weight >= 0.0, NOT_NEGATIVE)?;
        if let Some(sampling) = &self.sampling {
            number("the ratio of others", sampling.ratio, sampling.ratio >= 0.0, NOT_NEGATIVE)?;
        }
        if let Some(tree) = &self.tree {
            let probability = tree.drop_probability;
            number("the tree's weight", tree.weight, tree.weight >= 0.0, NOT_NEGATIVE)?;
            number("drop_probability", probability, (0.0..=1.0).contains(&probability), "in [0, 1]")?;
            if let Some(ceiling) = tree.ceiling {
                number("the ceiling", ceiling, true, "finite in f32")?;
            }
        }
        match &self.reduction {
            GroupReduction::Rows(reduction) => reduction.check(),
            _ => Ok(()),
        }
    }

    /// Every label has a column, and no two in one segment.
    fn check_label(&self, layout: &Layout, label: usize) -> Result<()> {
        let wrong = |reason| structure("label", Some(label), reason);
        let mut last = None;
        for column in self.columns_of(label) {
            if column >= layout.width() {
                return wrong("one of its columns is none of the row's");
            }
            if last.is_some_and(|last| last >= column) {
                return wrong("its columns are not in ascending order");
            }
            let segment = |column: usize| layout.segment_of.get(column);
            if last.is_some_and(|last| segment(last) == segment(column)) {
                return wrong("it has two columns in one segment, whose softmax can only have one target");
            }
            last = Some(column);
        }
        match last {
            Some(_) => Ok(()),
            None => wrong("it has no column: put it into a group"),
        }
    }

    fn check_combinations(&self, kind: TargetKind) -> Result<()> {
        if kind != TargetKind::Hard {
            return combination(
                "other targets than one label",
                "a grouped loss",
                "its columns belong to one label",
            );
        }
        if self.sampling.is_some() && self.tree.is_some() {
            return combination("sampled others", "tree sampling", "a tree's nodes have no others: drop one");
        }
        if self.segments.iter().any(|segment| segment.sampled && !segment.others) {
            return combination("a sampled segment", "no column of others", "set others as well");
        }
        if self.segments.iter().any(|segment| segment.sampled) && self.sampling.is_none() {
            return Err(Error::Missing { what: "sampling", needed_by: "a sampled segment" });
        }
        match self.reduction {
            GroupReduction::Rows(Reduction::Elements | Reduction::Positives) => combination(
                "a mean over elements or positives",
                "a grouped loss",
                "its units are rows and segments: use PerGroup, Pairs or the mean over rows",
            ),
            _ => Ok(()),
        }
    }

    /// One root, nodes after the one above them, and every label a whole path to a leaf of its own.
    fn check_tree(&self, layout: &Layout) -> Result<()> {
        let mut leads = vec![false; layout.width()];
        for (segment, part) in self.segments.iter().enumerate() {
            let column = part.parent.and_then(|column| usize::try_from(column).ok());
            match (segment, part.parent) {
                (0, None) => continue,
                (0, Some(_)) => {
                    return structure("segment", Some(0), "it is the tree's root, which has no parent");
                }
                (_, None) => {
                    return structure(
                        "segment",
                        Some(segment),
                        "it has no parent, and the first one is the root",
                    );
                }
                _ => {}
            }
            let above = column.and_then(|column| layout.segment_of.get(column));
            if above.is_none_or(|above| *above >= segment) {
                return structure(
                    "segment",
                    Some(segment),
                    "its parent is not before it: the tree has a cycle or is out of order",
                );
            }
            match column.and_then(|column| leads.get_mut(column)) {
                Some(taken) if !*taken => *taken = true,
                _ => return structure("segment", Some(segment), "another one has the same parent column"),
            }
            if part.others {
                return combination("a column of others", "a tree", "a tree's nodes have none");
            }
        }
        if self.segments.first().is_some_and(|root| root.others) {
            return combination("a column of others", "a tree", "a tree's nodes have none");
        }
        let mut leaves = vec![false; layout.width()];
        for label in 0..self.labels.len() {
            let path: Vec<usize> = self.columns_of(label).collect();
            let Some(&leaf) = path.last() else { continue };
            if leads.get(leaf).copied().unwrap_or(true) {
                return structure(
                    "label",
                    Some(label),
                    "it ends at an inner node of the tree, not at a leaf",
                );
            }
            if layout.path(self, leaf) != path {
                return structure(
                    "label",
                    Some(label),
                    "its columns are not the path from the root to its leaf",
                );
            }
            match leaves.get_mut(leaf) {
                Some(taken) if !*taken => *taken = true,
                _ => return structure("label", Some(label), "another label has the same leaf"),
            }
        }
        match leads.iter().zip(&leaves).any(|(leads, leaf)| !leads && !leaf) {
            true => structure("the tree", None, "it has a leaf without a label"),
            false => Ok(()),
        }
    }

    /// Whether a term takes the batch's gates, `[N, G]`.
    pub(crate) fn given(&self) -> bool {
        self.sampling.is_some_and(|term| term.source == DrawSource::Given)
            || self.tree.is_some_and(|term| term.source == DrawSource::Given)
    }

    /// Checks lengths and host-visible values of a batch (labels, weights) against the spec, after
    /// [`check`](Self::check). The batch's `classes` are the logits' columns.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Label`], [`Error::Parameter`], [`Error::Missing`], [`Error::Unexpected`], and what
    /// [`check`](Self::check) reports.
    pub fn check_batch<T>(&self, batch: &Batch<'_, T>) -> Result<()> {
        self.check(batch.classes, batch.targets.kind())?;
        length("logits", batch.logits.len(), batch.elements()?)?;
        if let Targets::Hard(labels) = batch.targets {
            check_labels(labels, self.labels.len(), &[self.ignore_index])?;
        }
        batch.check_row_weights()?;
        if batch.feature_norms.is_some() {
            return Err(Error::Unexpected {
                what: "feature norms",
                planned: "for a loss that has no use for them",
            });
        }
        batch.check_gates(self.given(), batch.rows().saturating_mul(self.segments.len()))?;
        match batch.gates {
            Some(gates) => check_values("a gate", gates, 0.0..=f32::MAX, "finite and at least 0"),
            None => Ok(()),
        }
    }
}

impl Layout {
    /// The columns from the root to `column`, ascending because nodes come after the one above them.
    fn path(&self, spec: &GroupedLoss, column: usize) -> Vec<usize> {
        let above = |column: &usize| {
            let segment = self.segment_of.get(*column)?;
            usize::try_from(spec.segments.get(*segment)?.parent?).ok()
        };
        let mut path: Vec<usize> = std::iter::successors(Some(column), above).collect();
        path.reverse();
        path
    }
}
