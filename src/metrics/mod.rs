//! How the field measures a long-tailed classifier: accuracy per class, and its mean over the classes with
//! many, medium and few training examples.
//!
//! ```
//! use longtail::metrics::Evaluator;
//! # fn main() -> longtail::Result<()> {
//! let counts = longtail::ClassCounts::new([500, 50, 5])?;
//! let mut evaluator = Evaluator::new(&counts);
//! evaluator.extend(&[0, 0, 1, 0], &[0, 0, 1, 2])?;
//! let report = evaluator.report();
//! assert_eq!(report.few, Some(0.0));
//! assert_eq!(report.top1, Some(0.75));
//! assert_eq!(report.class_mean, Some(2.0 / 3.0));
//! assert_eq!(report.to_string(), "Many 100.0  Medium 100.0  Few 0.0  All 66.7");
//! # Ok(()) }
//! ```

mod report;

pub use report::{ClassAccuracy, Report, markdown_table};

use crate::{ClassCounts, Error, Group, Result};

/// What the test set says about one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    /// Rows with this label.
    rows: u64,
    /// Rows with this prediction.
    predicted: u64,
    /// Rows with both.
    hits: u64,
}

/// Collects predictions and labels of a test set; 33 bytes per class, whatever the number of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluator {
    train_counts: Vec<u64>,
    groups: Vec<Group>,
    ignore_index: Option<i32>,
    tallies: Vec<Tally>,
}

impl Evaluator {
    /// An empty evaluator over the classes of `train_counts`, the counts of the **training** set, with its
    /// [standard groups](ClassCounts::standard_groups).
    pub fn new(train_counts: &ClassCounts) -> Self {
        Self {
            train_counts: train_counts.counts().to_vec(),
            groups: train_counts.standard_groups(),
            ignore_index: Some(-100),
            tallies: vec![Tally::default(); train_counts.classes()],
        }
    }

    /// Sets the classes' groups, `[K]`: [`ClassCounts::lvis_groups`], [`ClassCounts::groups`], or any other.
    ///
    /// # Errors
    /// [`Error::Length`] when there is not one group per class.
    pub fn with_groups(mut self, groups: Vec<Group>) -> Result<Self> {
        if groups.len() != self.tallies.len() {
            return Err(Error::Length {
                what: "groups",
                expected: self.tallies.len() as u64,
                found: groups.len() as u64,
            });
        }
        self.groups = groups;
        Ok(self)
    }

    /// Sets the label of rows that do not count; `None`: every row counts. Default `Some(-100)`, as in
    /// [`SoftmaxLoss`](crate::SoftmaxLoss).
    #[must_use]
    pub fn with_ignore_index(mut self, index: Option<i32>) -> Self {
        self.ignore_index = index;
        self
    }

    /// Adds one row.
    ///
    /// # Errors
    /// [`Error::Label`] when the label is neither a class nor the ignored index, [`Error::Parameter`] when
    /// the prediction is no class. The row is then not counted.
    pub fn push(&mut self, prediction: u32, label: i32) -> Result<()> {
        self.add(0, prediction, label)
    }

    /// Adds rows; `predictions` and `labels` have one element per row.
    ///
    /// # Errors
    /// [`Error::Length`] when the lengths differ, else those of [`push`](Self::push); the rows before the
    /// faulty one are counted.
    pub fn extend(&mut self, predictions: &[u32], labels: &[i32]) -> Result<()> {
        if predictions.len() != labels.len() {
            return Err(Error::Length {
                what: "predictions",
                expected: labels.len() as u64,
                found: predictions.len() as u64,
            });
        }
        let mut rows = predictions.iter().zip(labels).enumerate();
        rows.try_for_each(|(row, (&prediction, &label))| self.add(row as u64, prediction, label))
    }

    fn add(&mut self, row: u64, prediction: u32, label: i32) -> Result<()> {
        if self.ignore_index == Some(label) {
            return Ok(());
        }
        let classes = self.tallies.len();
        let Some(label) = usize::try_from(label).ok().filter(|&label| label < classes) else {
            return Err(Error::Label { row, label: Some(label.into()), classes, rows: 1 });
        };
        let Some(predicted) = usize::try_from(prediction).ok().filter(|&class| class < classes) else {
            return Err(Error::Parameter {
                name: "the prediction",
                value: prediction.into(),
                expected: "a class, below the number of training counts",
            });
        };
        if let Some(tally) = self.tallies.get_mut(label) {
            tally.rows += 1;
            tally.hits += u64::from(label == predicted);
        }
        if let Some(tally) = self.tallies.get_mut(predicted) {
            tally.predicted += 1;
        }
        Ok(())
    }

    /// Adds what another evaluator over the same classes has collected (another thread, another machine).
    ///
    /// # Errors
    /// [`Error::Length`] when the numbers of classes differ.
    pub fn merge(&mut self, other: &Evaluator) -> Result<()> {
        if self.tallies.len() != other.tallies.len() {
            return Err(Error::Length {
                what: "the merged evaluator",
                expected: self.tallies.len() as u64,
                found: other.tallies.len() as u64,
            });
        }
        for (into, from) in self.tallies.iter_mut().zip(&other.tallies) {
            into.rows += from.rows;
            into.predicted += from.predicted;
            into.hits += from.hits;
        }
        Ok(())
    }

    /// The measures of everything collected so far.
    pub fn report(&self) -> Report {
        report::report(&self.train_counts, &self.groups, &self.tallies)
    }
}
