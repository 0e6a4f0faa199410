//! The report against values worked out by hand.

use longtail::metrics::{ClassAccuracy, Evaluator, markdown_table};
use longtail::{ClassCounts, Error, Group};

/// Train counts 300, 120 (many), 50 (medium), 9, 3, 2 (few). Class 5 has no test row.
///
/// | class | rows | hits | predicted |
/// |---|---|---|---|
/// | 0 | 4 | 4 | 7 |
/// | 1 | 2 | 1 | 1 |
/// | 2 | 4 | 2 | 3 |
/// | 3 | 1 | 1 | 1 |
/// | 4 | 4 | 1 | 2 |
/// | 5 | 0 | 0 | 1 |
fn evaluator() -> Evaluator {
    let counts = ClassCounts::new([300, 120, 50, 9, 3, 2]).unwrap();
    let mut evaluator = Evaluator::new(&counts);
    let labels = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 4, 4, 4];
    let predictions = [0, 0, 0, 0, 1, 0, 2, 2, 4, 0, 3, 4, 5, 0, 2];
    evaluator.extend(&predictions, &labels).unwrap();
    evaluator
}

#[track_caller]
fn close(value: Option<f64>, expected: f64) {
    let value = value.expect("a value");
    assert!((value - expected).abs() < 1e-15, "{value} is not {expected}");
}

#[test]
fn hand_computed_report() {
    let report = evaluator().report();
    close(report.top1, 9.0 / 15.0);
    assert_eq!(report.per_class, [Some(1.0), Some(0.5), Some(0.5), Some(1.0), Some(0.25), None]);
    close(report.class_mean, 3.25 / 5.0);
    close(report.many, 0.75);
    close(report.medium, 0.5);
    // Class 5 has no test row, so it does not enter the mean of its group.
    close(report.few, 0.625);
    assert_eq!(report.worst, Some(ClassAccuracy { class: 4, accuracy: 0.25 }));
    // Class 5 was predicted, so it counts with F1 0: 8/11, 2/3, 4/7, 1, 1/3, 0.
    close(report.macro_f1, (8.0 / 11.0 + 2.0 / 3.0 + 4.0 / 7.0 + 1.0 + 1.0 / 3.0) / 6.0);
    // 1/r: 1, 2, 2, 1, 4.
    close(report.harmonic_mean, 0.5);
    // The product of the r is 1/16.
    close(report.geometric_mean, 0.0625f64.powf(0.2));
}

#[test]
fn a_recall_of_zero_makes_both_means_zero() {
    let counts = ClassCounts::new([10, 10]).unwrap();
    let mut evaluator = Evaluator::new(&counts);
    evaluator.extend(&[0, 0], &[0, 1]).unwrap();
    let report = evaluator.report();
    assert_eq!((report.harmonic_mean, report.geometric_mean), (Some(0.0), Some(0.0)));
}

#[test]
fn nothing_measured_is_none_and_not_zero() {
    let counts = ClassCounts::new([300, 9]).unwrap();
    let report = Evaluator::new(&counts).report();
    assert_eq!(report.per_class, [None, None]);
    let all = [
        report.top1,
        report.class_mean,
        report.many,
        report.medium,
        report.few,
        report.macro_f1,
        report.harmonic_mean,
        report.geometric_mean,
    ];
    assert_eq!(all, [None; 8]);
    assert_eq!(report.worst, None);
    assert_eq!(report.to_string(), "Many -  Medium -  Few -  All -");
}

#[test]
fn groups_can_be_given() {
    let counts = ClassCounts::new([300, 120, 50, 9, 3, 2]).unwrap();
    // Many from 50 on, few below 5.
    let moved = evaluator().with_groups(counts.groups(49, 5)).unwrap().report();
    close(moved.many, 2.0 / 3.0);
    assert_eq!((moved.medium, moved.few), (Some(1.0), Some(0.25)));
    let one = evaluator().with_groups(vec![Group::Medium; 6]).unwrap().report();
    assert_eq!((one.many, one.medium, one.few), (None, Some(0.65), None));
    assert!(matches!(evaluator().with_groups(vec![]), Err(Error::Length { expected: 6, found: 0, .. })));
}

#[test]
fn an_empty_group_prints_a_dash() {
    let counts = ClassCounts::new([300, 9]).unwrap();
    let mut evaluator = Evaluator::new(&counts);
    evaluator.extend(&[0, 0, 1], &[0, 0, 1]).unwrap();
    assert_eq!(evaluator.report().medium, None);
    assert_eq!(evaluator.report().to_string(), "Many 100.0  Medium -  Few 100.0  All 100.0");
}

#[test]
fn tables_hold_what_the_report_holds() {
    let report = evaluator().report();
    let csv = report.to_csv();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "class,train_count,group,test_count,predicted,correct,accuracy");
    assert_eq!(lines[1], "0,300,Many,4,7,4,1");
    assert_eq!(lines[3], "2,50,Medium,4,3,2,0.5");
    assert_eq!(lines[6], "5,2,Few,0,1,0,");
    assert_eq!(lines.len(), 7);
    let markdown = report.to_markdown();
    assert_eq!(
        markdown.lines().last(),
        Some("| 75.0 | 50.0 | 62.5 | 65.0 | 60.0 | 55.0 | 50.0 | 57.4 | 25.0 (class 4) |")
    );
    assert_eq!(
        markdown_table(&[("a", &report), ("b", &report)]),
        "| Method | Many | Medium | Few | All |\n|:---|---:|---:|---:|---:|\n\
         | a | 75.0 | 50.0 | 62.5 | 65.0 |\n| b | 75.0 | 50.0 | 62.5 | 65.0 |\n"
    );
}

#[test]
fn ignored_rows_do_not_count() {
    let mut with_ignored = evaluator();
    with_ignored.push(3, -100).unwrap();
    assert_eq!(with_ignored, evaluator());
    let mut strict = evaluator().with_ignore_index(None);
    assert!(matches!(strict.push(3, -100), Err(Error::Label { label: Some(-100), classes: 6, .. })));
}

#[test]
fn rows_that_are_no_rows_are_errors() {
    let mut evaluator = evaluator();
    let before = evaluator.clone();
    assert!(matches!(evaluator.push(0, 6), Err(Error::Label { label: Some(6), classes: 6, .. })));
    assert!(matches!(evaluator.push(0, -1), Err(Error::Label { label: Some(-1), .. })));
    assert!(matches!(evaluator.push(6, 0), Err(Error::Parameter { .. })));
    assert!(matches!(evaluator.extend(&[0], &[0, 1]), Err(Error::Length { expected: 2, found: 1, .. })));
    assert_eq!(evaluator, before);
    assert!(matches!(evaluator.extend(&[0, 0], &[0, 9]), Err(Error::Label { row: 1, .. })));
}

#[test]
fn merging_equals_collecting_at_once() {
    let counts = ClassCounts::new([300, 9]).unwrap();
    let new = || Evaluator::new(&counts);
    let (mut left, mut right, mut whole) = (new(), new(), new());
    left.extend(&[0, 1], &[0, 0]).unwrap();
    right.extend(&[1, 0, 1], &[1, 1, 0]).unwrap();
    whole.extend(&[0, 1, 1, 0, 1], &[0, 0, 1, 1, 0]).unwrap();
    left.merge(&right).unwrap();
    assert_eq!(left, whole);
    assert!(matches!(left.merge(&evaluator()), Err(Error::Length { expected: 2, found: 6, .. })));
}
