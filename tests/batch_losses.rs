//! LADE, range loss and carried statistics against values derived by hand, their properties and what they refuse; what the
//! tables of all families have in common.

use longtail::method::{DISTILLATION, Family, LADE, OBJECTNESS, RANGE, all};
use longtail::random::{draw_24, draw_32, quota, sample_rows, step_key};
use longtail::statistics::merge_counts;
use longtail::{Batch, ClassCounts, Error, LadeLoss, RangeLoss, SoftmaxLoss, Targets, Upstream, reference};

const MASK: f64 = f64::NEG_INFINITY;

fn counts(counts: &[u64]) -> ClassCounts {
    ClassCounts::new(counts).expect("counts")
}

fn wave(length: usize) -> Vec<f64> {
    (1..=length).map(|position| 2.0 * (position as f64 * 2.399_963).sin()).collect()
}

#[track_caller]
fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} is not {expected}");
    }
}

fn run_lade(spec: &LadeLoss, logits: &[f64], labels: &[i32]) -> reference::LadeOutput {
    let batch = Batch::new(logits, spec.log_ratio.len(), Targets::Hard(labels));
    reference::lade(spec, &batch, Upstream::One).expect("legal")
}

#[test]
fn lades_regulariser_by_hand() {
    // pi = 3/4, 1/4; ratios log(1/2 / (3/4)) = log(2/3) and log 2 (up to 1e-9). Rows: odds (3, 1), (6, 2), labels 0, 0.
    // Column 0: T1 = (log 3 + log 6) / 2, T2 = log((2 + 4) / 2) = log 3. Column 1: T1 = 0, T2 = log((2 + 4) / 2).
    let spec = LadeLoss::regulariser(&counts(&[3, 1]), 0.1);
    let output = run_lade(&spec, &[3.0, 1.0, 6.0, 2.0].map(f64::ln), &[0, 0]);
    let t2 = 3f64.ln();
    near(&output.first_terms, &[0.5 * 18f64.ln(), 0.0], 1e-8);
    near(&output.second_terms, &[t2, t2], 1e-8);
    let penalty = t2 + 0.1 * t2 * t2;
    near(&[output.loss], &[-0.75 * (0.5 * 18f64.ln() - penalty) + 0.25 * penalty], 1e-8);
    // Softmax over the rows: 1/3, 2/3 in both columns; d = 1 + 0.2 T2.
    let d = 1.0 + 0.2 * t2;
    let expected = [-0.75 * (0.5 - d / 3.0), 0.25 * d / 3.0, -0.75 * (0.5 - 2.0 * d / 3.0), 0.5 * d / 3.0];
    near(&output.gradient, &expected, 1e-8);
    // An ignored row is not there at all.
    let ignored = run_lade(&spec, &[3f64.ln(), 0.0, 9.0, 9.0, 6f64.ln(), 2f64.ln()], &[0, -100, 0]);
    near(&[ignored.loss], &[output.loss], 1e-15);
    assert_eq!(ignored.gradient[2..4], [0.0, 0.0]);
}

#[test]
fn lade_is_prior_cross_entropy_and_regulariser() {
    let (three, logits, labels) = (counts(&[40, 9, 1]), wave(12), [0, 2, 1, 0]);
    let total = run_lade(&LadeLoss::lade(&three), &logits, &labels);
    let part = run_lade(&LadeLoss::regulariser(&three, 0.1), &logits, &labels);
    let batch = Batch::new(&logits, 3, Targets::Hard(&labels));
    let prior = reference::softmax(&SoftmaxLoss::prior_ce(&three), &batch, Upstream::One).expect("legal");
    near(&[total.loss], &[prior.loss + 0.1 * part.loss], 1e-15);
    let expected: Vec<f64> = prior.gradient.iter().zip(&part.gradient).map(|(a, b)| a + 0.1 * b).collect();
    near(&total.gradient, &expected, 1e-15);
    // Upstream multiplies the gradient only.
    let twice = reference::lade(&LadeLoss::lade(&three), &batch, Upstream::Scalar(2.0)).expect("legal");
    near(&twice.gradient, &expected.iter().map(|slope| 2.0 * slope).collect::<Vec<_>>(), 1e-15);
    assert_eq!(twice.loss, total.loss);
    let by_row = reference::lade(&LadeLoss::lade(&three), &batch, Upstream::PerRow(&[1.0; 4]));
    assert!(matches!(by_row, Err(Error::Unexpected { .. })), "{by_row:?}");
}

#[test]
fn lade_at_the_edges() {
    let spec = LadeLoss::lade(&counts(&[3, 0]));
    for (logits, labels) in [(vec![], vec![]), (vec![1.0; 4], vec![-100, -100])] {
        let output = run_lade(&spec, &logits, &labels);
        assert_eq!(output.loss, 0.0);
        assert!(output.gradient.iter().all(|slope| *slope == 0.0));
    }
    for bad in [f64::NAN, f64::INFINITY, MASK] {
        let batch = Batch::new(&[0.0, 0.0, 0.0, bad], 2, Targets::Hard(&[0, 0])).logits.to_vec();
        let found = reference::lade(&spec, &Batch::new(&batch, 2, Targets::Hard(&[0, 0])), Upstream::One);
        assert!(matches!(found, Err(Error::NonFinite { row: 1, rows: 1, .. })), "{found:?}");
    }
    let refuse = |spec: &LadeLoss, batch: &Batch<'_, f64>| {
        reference::lade(spec, batch, Upstream::One).expect_err("refused")
    };
    let batch = Batch::new(&[0.0, 0.0], 2, Targets::Hard(&[0]));
    let what = |error: Error| match error {
        Error::Unexpected { what, .. } | Error::Length { what, .. } => what,
        Error::Parameter { name, .. } => name,
        Error::Combination { first, .. } => first,
        other => panic!("{other:?}"),
    };
    assert_eq!(what(refuse(&spec, &batch.with_row_weights(&[1.0]))), "row weights");
    assert_eq!(what(refuse(&spec, &batch.with_gates(&[1.0; 2]))), "gates");
    assert_eq!(what(refuse(&spec, &Batch::new(&[0.0; 3], 3, Targets::Hard(&[0])))), "log_ratio");
    assert_eq!(what(refuse(&spec.clone().with_lambda(f64::NAN), &batch)), "lambda");
    assert_eq!(what(refuse(&spec.clone().with_weight(-1.0), &batch)), "weight");
    assert_eq!(
        what(refuse(&spec, &Batch::new(&[0.0; 2], 2, Targets::Soft(&[1.0, 0.0])))),
        "other targets than one label"
    );
    let apart = spec.clone().with_cross_entropy(Some(SoftmaxLoss::cross_entropy().with_ignore_index(None)));
    assert_eq!(what(refuse(&apart, &batch)), "the regulariser's ignored index");
    assert!(apart.with_ignore_index(Some(7)).check(2).is_ok());
    let error = refuse(&spec, &Batch::new(&[0.0; 2], 2, Targets::Hard(&[2])));
    assert!(matches!(error, Error::Label { label: Some(2), .. }), "{error:?}");
}

#[test]
fn range_loss_by_hand() {
    // Class 7 at 0, 3, 4 (distances 4, 3, 1), class -1 at 10 and 12 (2), class 5 alone at 30. The two largest:
    // 2 / (1/4 + 1/3) = 24/7, and 2. Centres 7/3 and 11: nearest 26/3; margin 9 lacks 1/3.
    let features = [0.0, 10.0, 3.0, 12.0, 30.0, 4.0];
    let labels = [7, -1, 7, -1, 5, 7];
    let spec = RangeLoss::new(2, 9.0).with_weights(2.0, 3.0);
    let output = reference::range(&spec, &features, 1, &labels, Upstream::One).expect("legal");
    near(&[output.intra, output.inter], &[24.0 / 7.0 + 2.0, 1.0 / 3.0], 1e-14);
    near(&[output.loss], &[2.0 * output.intra + 1.0], 1e-14);
    // By the distances: (24/7)^2 / 2 / d^2 = 18/49 for 4, 32/49 for 3; 1 for 2. Centres: 3 apart from each other, shared by
    // 3 and 2 rows: +1 for class 7, -3/2 for class -1.
    let expected = [
        2.0 * (-18.0 / 49.0 - 32.0 / 49.0) + 1.0,
        -2.0 - 1.5,
        2.0 * 32.0 / 49.0 + 1.0,
        2.0 - 1.5,
        0.0,
        2.0 * 18.0 / 49.0 + 1.0,
    ];
    near(&output.gradient, &expected, 1e-14);
    let scaled = reference::range(&spec, &features, 1, &labels, Upstream::Scalar(-2.0)).expect("legal");
    near(&scaled.gradient, &expected.map(|slope| -2.0 * slope), 1e-14);
    // An ignored row takes no part.
    let ignored = spec.with_ignore_index(Some(5));
    let output = reference::range(&ignored, &features, 1, &labels, Upstream::One).expect("legal");
    near(&[output.intra, output.inter], &[24.0 / 7.0 + 2.0, 1.0 / 3.0], 1e-14);
}

#[test]
fn range_loss_at_the_edges() {
    let spec = RangeLoss::new(2, 5.0);
    let run = |features: &[f64], labels: &[i32]| reference::range(&spec, features, 1, labels, Upstream::One);
    // Nothing, one row, one class: no other centre.
    for (features, labels, loss) in
        [(vec![], vec![], 0.0), (vec![4.0], vec![1], 0.0), (vec![1.0, 3.0], vec![1, 1], 1.0)]
    {
        assert_eq!(run(&features, &labels).expect("legal").loss, loss);
    }
    // Equal features: the floor of 1e-6, without a gradient. Centres together: margin minus the floor.
    let output = run(&[2.0, 2.0, 2.0], &[0, 0, 1]).expect("legal");
    near(&[output.intra, output.inter], &[1e-6, 5.0 - 1e-6], 1e-14);
    assert_eq!(output.gradient, [0.0; 3]);
    for bad in [f64::NAN, f64::INFINITY, MASK] {
        let found = run(&[0.0, bad], &[0, -100]);
        assert!(matches!(found, Err(Error::NonFinite { row: 1, rows: 1, .. })), "{found:?}");
    }
    assert!(matches!(run(&[0.0], &[0, 1]), Err(Error::Length { what: "features", .. })));
    let no_dimension = reference::range(&spec, &[], 0, &[], Upstream::One);
    assert!(matches!(no_dimension, Err(Error::Parameter { .. })));
    let by_row = reference::range(&spec, &[0.0], 1, &[0], Upstream::PerRow(&[1.0]));
    assert!(matches!(by_row, Err(Error::Unexpected { .. })));
    for (name, spec) in [
        ("pairs", RangeLoss::new(0, 1.0)),
        ("margin", RangeLoss::new(1, -1.0)),
        ("intra_weight", RangeLoss::default().with_weights(f64::NAN, 1.0)),
        ("inter_weight", RangeLoss::default().with_weights(1.0, -1.0)),
    ] {
        assert!(matches!(spec.check(), Err(Error::Parameter { name: found, .. }) if found == name));
    }
}

#[test]
fn rows_are_drawn_evenly_and_without_replacement() {
    let candidates: Vec<u32> = (0..40).map(|row| 3 * row + 1).collect();
    let mut drawn = vec![0u32; 40];
    for step in 0..2000 {
        let rows = sample_rows(step_key(1, step), 0, &candidates, 10);
        assert_eq!(rows.len(), 10);
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "ascending, none twice");
        rows.iter().for_each(|row| drawn[((row - 1) / 3) as usize] += 1);
    }
    // Each 500 times, give or take five standard deviations of sqrt(2000 1/4 3/4) = 19.4.
    assert!(drawn.iter().all(|count| count.abs_diff(500) < 97), "{drawn:?}");
    let key = step_key(1, 0);
    assert_ne!(sample_rows(key, 0, &candidates, 10), sample_rows(key, 1, &candidates, 10), "streams differ");
    assert_eq!(sample_rows(key, 0, &candidates, 0), []);
    assert_eq!(sample_rows(key, 0, &candidates, 99), candidates);
    // A ranking by key, as a kernel would do it.
    let rank = |row: u32| {
        let own = (draw_32(key, row, 0), row);
        candidates.iter().filter(|other| (draw_32(key, **other, 0), **other) < own).count()
    };
    let ranked: Vec<u32> = candidates.iter().copied().filter(|row| rank(*row) < 10).collect();
    assert_eq!(sample_rows(key, 0, &candidates, 10), ranked);
    assert!((0..50).all(|row| draw_24(key, row, 7) == draw_32(key, row, 7) >> 8));
    // As Python rounds: 0.29 * 100 is 28.999999999999996.
    assert_eq!([quota(0.29, 100), quota(0.1, 30), quota(8.0, 3), quota(0.01, 99)], [28, 3, 24, 0]);
}

#[test]
fn counts_of_replicas_merge_to_the_wholes() {
    let before = counts(&[5, 2, 9]);
    let (logits, labels) = (wave(18), [0, 2, 2, 1, -100, 2]);
    let after = |rows: std::ops::Range<usize>| {
        let batch = Batch::new(&logits[3 * rows.start..3 * rows.end], 3, Targets::Hard(&labels[rows]));
        reference::softmax(&SoftmaxLoss::seesaw(&before), &batch, Upstream::One)
            .expect("legal")
            .counts
            .expect("counts")
    };
    let merged = merge_counts(before.counts(), &[&after(0..2), &after(2..6)]).expect("merges");
    assert_eq!(merged, after(0..6));
    assert_eq!(merge_counts(&[7], &[]), Ok(vec![7]));
    assert!(matches!(merge_counts(&[7], &[&[7, 8]]), Err(Error::Length { .. })));
    assert!(matches!(merge_counts(&[1, 7], &[&[1, 6]]), Err(Error::Statistics { class: Some(1), .. })));
    let huge = u64::MAX - 1;
    assert!(matches!(
        merge_counts(&[huge], &[&[u64::MAX], &[u64::MAX]]),
        Err(Error::Statistics { class: Some(0), .. })
    ));
}

#[test]
fn the_tables_build_and_no_two_methods_share_a_name() {
    for three in [counts(&[4000, 120, 2]), counts(&[8, 8, 8]), counts(&[3, 0, 1])] {
        LADE.iter().for_each(|method| (method.build)(&three).expect("builds").check(3).expect("checks"));
        DISTILLATION
            .iter()
            .for_each(|method| (method.build)(&three).expect("builds").check(3).expect("checks"));
        OBJECTNESS
            .iter()
            .for_each(|method| (method.build)(&three).expect("builds").check(5).expect("checks"));
        RANGE.iter().for_each(|method| (method.build)(&three).expect("builds").check().expect("checks"));
    }
    let entries = all();
    let names: std::collections::BTreeSet<&str> = entries.iter().map(|entry| entry.name).collect();
    let titles: std::collections::BTreeSet<&str> = entries.iter().map(|entry| entry.title).collect();
    assert_eq!((names.len(), titles.len()), (entries.len(), entries.len()));
    for entry in &entries {
        assert!(
            entry.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
            "{}",
            entry.name
        );
        for text in [entry.title, entry.formula, entry.paper, entry.terms] {
            assert!(
                !text.is_empty() && !text.contains('\n') && text.trim() == text,
                "{}: {text:?}",
                entry.name
            );
        }
    }
    assert_eq!(Family::ALL.iter().map(|family| family.methods().len()).sum::<usize>(), entries.len());
    assert!(Family::ALL.iter().all(|family| !family.methods().is_empty() && !family.title().is_empty()));
    assert_eq!(format!("{:?}", LADE[0]), "Method { name: \"lade\", .. }");
}
