//! The measures, and how they are printed.

use std::fmt::{self, Write};

use super::Tally;
use crate::Group;

/// A class and its accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClassAccuracy {
    /// The class.
    pub class: usize,
    /// Its accuracy (recall), in `[0, 1]`.
    pub accuracy: f64,
}

/// What an [`Evaluator`](super::Evaluator) measured. All values are fractions in `[0, 1]`; `None` stands for
/// the mean of nothing: no test row, or no test row of any class of the group.
///
/// `r_j` is the accuracy (recall) of class `j`; means run over the classes that occur in the test set.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Report {
    /// Correct rows over all rows.
    pub top1: Option<f64>,
    /// `mean r_j`: class-mean or balanced accuracy, 1 - balanced error. Equal to `top1` on a balanced test
    /// set, which is what the papers call All.
    pub class_mean: Option<f64>,
    /// `r_j` of every class; `None` where the class does not occur in the test set.
    pub per_class: Vec<Option<f64>>,
    /// `mean r_j` over the classes with many training examples.
    pub many: Option<f64>,
    /// `mean r_j` over those in between.
    pub medium: Option<f64>,
    /// `mean r_j` over the classes with few training examples.
    pub few: Option<f64>,
    /// The lowest `r_j`; the first such class.
    pub worst: Option<ClassAccuracy>,
    /// The mean of `2 hits / (rows + predicted)` over the classes that occur as a label or as a prediction.
    pub macro_f1: Option<f64>,
    /// `(mean 1 / r_j)^-1`, 0 when any `r_j` is 0.
    pub harmonic_mean: Option<f64>,
    /// `exp(mean ln r_j)`, 0 when any `r_j` is 0.
    pub geometric_mean: Option<f64>,
    classes: Vec<Class>,
}

/// A line of the per-class table.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Class {
    train: u64,
    group: Group,
    rows: u64,
    predicted: u64,
    hits: u64,
}

/// The mean of some numbers, `None` without any.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then_some(sum / count)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

pub(super) fn report(train_counts: &[u64], groups: &[Group], tallies: &[Tally]) -> Report {
    let classes: Vec<Class> = train_counts
        .iter()
        .zip(groups)
        .zip(tallies)
        .map(|((&train, &group), &Tally { rows, predicted, hits })| Class {
            train,
            group,
            rows,
            predicted,
            hits,
        })
        .collect();
    let per_class: Vec<Option<f64>> = classes.iter().map(|class| ratio(class.hits, class.rows)).collect();
    let present = || per_class.iter().copied().flatten();
    let mean_of = |group| {
        let members = classes.iter().zip(&per_class).filter(|(class, _)| class.group == group);
        mean(members.filter_map(|(_, accuracy)| *accuracy))
    };
    let worst = per_class
        .iter()
        .enumerate()
        .filter_map(|(class, accuracy)| accuracy.map(|accuracy| ClassAccuracy { class, accuracy }))
        .reduce(|worst, next| if next.accuracy < worst.accuracy { next } else { worst });
    let f1 = classes.iter().filter_map(|class| ratio(2 * class.hits, class.rows + class.predicted));
    Report {
        top1: ratio(
            classes.iter().map(|class| class.hits).sum(),
            classes.iter().map(|class| class.rows).sum(),
        ),
        class_mean: mean(present()),
        many: mean_of(Group::Many),
        medium: mean_of(Group::Medium),
        few: mean_of(Group::Few),
        worst,
        macro_f1: mean(f1),
        // 1 / 0 is +inf and ln 0 is -inf: both lead to the 0 that is wanted.
        harmonic_mean: mean(present().map(f64::recip)).map(f64::recip),
        geometric_mean: mean(present().map(f64::ln)).map(f64::exp),
        per_class,
        classes,
    }
}

fn name(group: Group) -> &'static str {
    match group {
        Group::Many => "Many",
        Group::Medium => "Medium",
        Group::Few => "Few",
    }
}

/// A fraction as percent with one decimal, `-` for the mean of nothing.
fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.1}", 100.0 * value))
}

impl Report {
    /// The papers' row: Many, Medium, Few, and All, the class mean.
    pub fn row(&self) -> [(&'static str, Option<f64>); 4] {
        [("Many", self.many), ("Medium", self.medium), ("Few", self.few), ("All", self.class_mean)]
    }

    /// One line per class, as comma-separated values with a header:
    /// `class,train_count,group,test_count,predicted,correct,accuracy`. The accuracy of a class without a
    /// test row is empty.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("class,train_count,group,test_count,predicted,correct,accuracy\n");
        for (index, class) in self.classes.iter().enumerate() {
            let accuracy = ratio(class.hits, class.rows).map_or_else(String::new, |value| value.to_string());
            let Class { train, group, rows, predicted, hits } = class;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{index},{train},{},{rows},{predicted},{hits},{accuracy}", name(*group));
        }
        text
    }

    /// All measures as a Markdown table of one row.
    pub fn to_markdown(&self) -> String {
        let worst = self.worst.map_or_else(
            || "-".to_owned(),
            |worst| format!("{} (class {})", percent(Some(worst.accuracy)), worst.class),
        );
        let [many, medium, few, all] = self.row().map(|(_, value)| percent(value));
        let [top1, f1, harmonic, geometric] =
            [self.top1, self.macro_f1, self.harmonic_mean, self.geometric_mean].map(percent);
        format!(
            "| Many | Medium | Few | All | Top-1 | Macro-F1 | Harmonic | Geometric | Worst |\n\
             |---:|---:|---:|---:|---:|---:|---:|---:|---:|\n\
             | {many} | {medium} | {few} | {all} | {top1} | {f1} | {harmonic} | {geometric} | {worst} |\n"
        )
    }
}

/// The papers' row in percent, on one line; `-` for an empty group.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.row().into_iter().enumerate() {
            let gap = if index == 0 { "" } else { "  " };
            write!(f, "{gap}{name} {}", percent(value))?;
        }
        Ok(())
    }
}

/// A Markdown table with one named row per report: Many, Medium, Few and All in percent.
///
/// ```
/// use longtail::metrics::{Evaluator, markdown_table};
/// # fn main() -> longtail::Result<()> {
/// let mut evaluator = Evaluator::new(&longtail::ClassCounts::new([500, 5])?);
/// evaluator.extend(&[0, 0], &[0, 1])?;
/// let table = markdown_table(&[("Softmax", &evaluator.report())]);
/// assert!(table.ends_with("| Softmax | 100.0 | - | 0.0 | 50.0 |\n"));
/// # Ok(()) }
/// ```
pub fn markdown_table(rows: &[(&str, &Report)]) -> String {
    let mut text = String::from("| Method | Many | Medium | Few | All |\n|:---|---:|---:|---:|---:|\n");
    for (name, report) in rows {
        let [many, medium, few, all] = report.row().map(|(_, value)| percent(value));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {name} | {many} | {medium} | {few} | {all} |");
    }
    text
}
