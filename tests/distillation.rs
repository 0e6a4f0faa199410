//! Distillation, objectness and what else is made of softmax losses, against values derived by hand, their properties and
//! what they refuse.

use longtail::distillation::{Expert, expert_weight};
use longtail::softmax::mixing::bbn_lambda;
use longtail::{
    Batch, ClassCounts, DistillationLoss, Error, ObjectnessLoss, Reduction, SoftmaxLoss, Targets, Upstream,
    reference,
};

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

fn distil(
    spec: &DistillationLoss,
    logits: &[f64],
    teacher: &[f64],
    labels: &[i32],
) -> reference::DistillationOutput {
    let batch = Batch::new(logits, logits.len() / labels.len(), Targets::Hard(labels));
    reference::distillation(spec, &batch, teacher, Upstream::One).expect("legal")
}

#[test]
fn distillation_by_hand() {
    // T = 2: odds 1, 9 become 1, 3: s = 1/4, 3/4; the teacher's 1, 1: q = 1/2. KL = log(2) / 2 + log(2/3) / 2, times 4;
    // by z: 4 / 2 (s - q).
    let (student, teacher) = ([1.0, 9.0].map(f64::ln), [0.0, 0.0]);
    let kl = 0.5 * (4.0f64 / 3.0).ln();
    let output = distil(&DistillationLoss::hinton(2.0), &student, &teacher, &[0]);
    near(&[output.loss, output.divergence], &[4.0 * kl; 2], 1e-14);
    near(&output.gradient, &[-0.5, 0.5], 1e-14);
    assert_eq!((output.argmax, output.base), (vec![1], 0.0));
    let output =
        distil(&DistillationLoss::hinton(2.0).with_squared(false).with_weight(3.0), &student, &teacher, &[0]);
    near(&[output.loss, output.divergence, output.row_loss[0]], &[3.0 * kl, kl, 3.0 * kl], 1e-14);
    near(&output.gradient, &[-0.375, 0.375], 1e-14);
    // The teacher's odds 1, 81 to the power 1/2 at T = 2: 1, 3. It has what the student has: nothing to learn.
    let flat = DistillationLoss::hinton(2.0).with_teacher_power(0.5);
    let output = distil(&flat, &student, &[0.0, 81f64.ln()], &[0]);
    near(&[output.loss], &[0.0], 1e-15);
    near(&output.gradient, &[0.0, 0.0], 1e-15);
}

#[test]
fn a_teacher_like_the_student_has_nothing_to_teach() {
    let logits = wave(20);
    for spec in [
        DistillationLoss::default(),
        DistillationLoss::hinton(3.0),
        DistillationLoss::lfme([Expert::new([0, 1, 2, 3, 4])]),
    ] {
        let output = distil(&spec, &logits, &logits, &[0, 1, 2, 3]);
        assert_eq!(output.loss, 0.0);
        assert_eq!(output.gradient, [0.0; 20]);
    }
    // A shift of a row changes nothing, and what the student does not know costs.
    let shifted: Vec<f64> = logits.iter().map(|logit| logit + 5.0).collect();
    near(&[distil(&DistillationLoss::hinton(3.0), &logits, &shifted, &[0; 4]).loss], &[0.0], 1e-14);
    assert!(distil(&DistillationLoss::hinton(3.0), &logits, &[0.0; 20], &[0; 4]).loss > 0.1);
}

#[test]
fn experts_teach_their_classes() {
    // T = 2. Expert 0 knows classes 2 and 0: student's odds there 9, 1 -> 3, 1; its own 1, 1. Expert 1 knows class 1 alone:
    // no divergence. Weights 2 and 5.
    let spec =
        DistillationLoss::lfme([Expert::new([2, 0]).with_weight(2.0), Expert::new([1]).with_weight(5.0)]);
    assert_eq!(spec.teacher_columns(4), 3);
    let output = distil(&spec, &[1.0, 7.0, 9.0, 5.0].map(f64::ln), &[0.0, 0.0, 3.0], &[0]);
    near(&[output.loss], &[(4.0f64 / 3.0).ln()], 1e-14);
    // 2 / 2 (s - q): 3/4 - 1/2 for class 2.
    near(&output.gradient, &[-0.25, 0.0, 0.25, 0.0], 1e-14);
    // Each expert has its own run of the teacher's columns: the first wants 1, 1 of classes 0, 1, the second 1, 3 of 2, 3.
    let spec = DistillationLoss::lfme([Expert::new([0, 1]), Expert::new([2, 3])]);
    let output = distil(&spec, &[0.0, 0.0, 0.0, 0.0], &[0.0, 0.0, 0.0, 9f64.ln()], &[0]);
    near(&output.gradient, &[0.0, 0.0, 0.125, -0.125], 1e-14);
    // The schedule: full weight below 3/4 of the teacher, half way between 3/4 and all of it, none beyond.
    for (student, expected) in [(0.0, 1.0), (0.59, 1.0), (0.6, 1.0), (0.7, 0.5), (0.8, 0.0), (0.9, 0.0)] {
        near(&[expert_weight(student, 0.8, 0.75).expect("legal")], &[expected], 1e-14);
    }
    for (student, teacher, threshold) in
        [(1.5, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 1.0), (f64::NAN, 0.5, 0.5)]
    {
        assert!(matches!(expert_weight(student, teacher, threshold), Err(Error::Parameter { .. })));
    }
}

#[test]
fn dive_mixes_balanced_softmax_in() {
    let (two, logits, teacher) = (counts(&[3, 1]), wave(6), wave(12).split_off(6));
    let labels = [0, 1, -100];
    let spec = DistillationLoss::dive(&two, 0.25, 3.0, 0.5).expect("builds");
    let output = distil(&spec, &logits, &teacher, &labels);
    let batch = Batch::new(&logits, 2, Targets::Hard(&labels));
    let balanced = SoftmaxLoss::balanced(&two).with_reduction(Reduction::Mean);
    let base = reference::softmax(&balanced, &batch, Upstream::One).expect("legal");
    let alone = distil(&DistillationLoss::hinton(3.0).with_teacher_power(0.5), &logits, &teacher, &labels);
    near(&[output.loss], &[0.75 * base.loss + 0.25 * alone.loss], 1e-15);
    let expected: Vec<f64> =
        base.gradient.iter().zip(&alone.gradient).map(|(base, alone)| 0.75 * base + 0.25 * alone).collect();
    near(&output.gradient, &expected, 1e-15);
    assert_eq!((output.row_loss[2], &output.gradient[4..]), (0.0, &[0.0, 0.0][..]));
    // alpha 0 is balanced softmax.
    let none =
        distil(&DistillationLoss::dive(&two, 0.0, 3.0, 0.5).expect("builds"), &logits, &teacher, &labels);
    near(&none.gradient, &base.gradient, 1e-15);
}

#[test]
fn distillation_at_the_edges() {
    let hinton = DistillationLoss::hinton(1.0);
    // What the teacher masks is not wanted; what the student masks and the teacher wants costs infinity.
    let output = distil(&hinton, &[0.0, 0.0, 0.0], &[0.0, 0.0, MASK], &[0]);
    near(&[output.loss], &[1.5f64.ln()], 1e-14);
    near(&output.gradient, &[-1.0 / 6.0, -1.0 / 6.0, 1.0 / 3.0], 1e-14);
    let output = distil(&hinton, &[0.0, 0.0, MASK], &[0.0, 0.0, MASK], &[0]);
    assert_eq!((output.loss, output.gradient), (0.0, vec![0.0; 3]));
    let output = distil(&hinton, &[0.0, MASK], &[0.0, 0.0], &[0]);
    assert_eq!((output.loss, output.gradient), (f64::INFINITY, vec![0.5, -0.5]));
    // Ignored rows and no rows.
    let output = distil(&hinton, &[0.0, 9.0], &[0.0, 0.0], &[-100]);
    assert_eq!((output.loss, output.gradient), (0.0, vec![0.0; 2]));
    let batch = Batch::new(&[], 3, Targets::Hard(&[]));
    assert_eq!(reference::distillation(&hinton, &batch, &[], Upstream::One).expect("legal").loss, 0.0);
    let run = |spec: &DistillationLoss, logits: &[f64], teacher: &[f64]| {
        let batch = Batch::new(logits, 2, Targets::Hard(&[0]));
        reference::distillation(spec, &batch, teacher, Upstream::One).expect_err("refused")
    };
    for bad in [f64::NAN, f64::INFINITY] {
        assert!(matches!(run(&hinton, &[0.0, bad], &[0.0; 2]), Error::NonFinite { what: "logits", .. }));
        assert!(matches!(
            run(&hinton, &[0.0; 2], &[bad, 0.0]),
            Error::NonFinite { what: "teacher logits", .. }
        ));
    }
    assert!(matches!(run(&hinton, &[0.0; 2], &[MASK; 2]), Error::NonFinite { row: 0, rows: 1, .. }));
    assert_eq!(
        run(&hinton, &[0.0; 2], &[0.0]),
        Error::Length { what: "teacher logits", expected: 2, found: 1 }
    );
    let experts = |classes: &[&[u32]]| {
        let experts: Vec<Expert> = classes.iter().map(|classes| Expert::new(*classes)).collect();
        match DistillationLoss::lfme(experts).check(2) {
            Err(Error::Structure { index, .. }) => index,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(experts(&[&[0], &[1, 0]]), Some(0), "two experts have it");
    assert_eq!(experts(&[&[0], &[2]]), Some(2), "not one of the classes");
    assert_eq!(experts(&[&[0], &[]]), Some(1), "no class");
    for (name, spec) in [
        ("temperature", DistillationLoss::hinton(0.0)),
        ("teacher_power", DistillationLoss::hinton(1.0).with_teacher_power(f64::NAN)),
        ("weight", DistillationLoss::hinton(1.0).with_weight(-1.0)),
        ("base_weight", DistillationLoss::hinton(1.0).with_base(None, f64::INFINITY)),
        ("an expert's weight", DistillationLoss::lfme([Expert::new([0]).with_weight(-1.0)])),
    ] {
        assert!(
            matches!(spec.check(2), Err(Error::Parameter { name: found, .. }) if found == name),
            "{name}"
        );
    }
    let elements = DistillationLoss::hinton(1.0).with_reduction(Reduction::Elements).check(2);
    assert!(matches!(elements, Err(Error::Combination { .. })));
    let mut apart = DistillationLoss::hinton(1.0).with_base(Some(SoftmaxLoss::default()), 1.0);
    apart.base.as_mut().expect("a base").ignore_index = None;
    assert!(matches!(apart.check(2), Err(Error::Combination { .. })));
    for bad in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(DistillationLoss::dive(&counts(&[1]), bad, 3.0, 0.5), Err(Error::Parameter { .. })));
    }
}

/// The composite is the sum of its parts on slices, and counts objects only.
#[test]
fn objectness_is_two_losses() {
    let three = counts(&[40, 9, 1]);
    let spec = ObjectnessLoss::seesaw(&three);
    assert_eq!(spec.columns(3), 5);
    let (logits, labels) = (wave(20), [2, 3, -100, 0]);
    let output = reference::objectness(&spec, &Batch::new(&logits, 5, Targets::Hard(&labels)), Upstream::One)
        .expect("legal");
    let slice = |range: std::ops::Range<usize>| -> Vec<f64> {
        logits.chunks(5).flat_map(|row| row[range.clone()].to_vec()).collect()
    };
    let (first, second) = (slice(0..3), slice(3..5));
    let run = |spec: &SoftmaxLoss, logits: &[f64], classes: usize, labels: &[i32]| {
        let batch = Batch::new(logits, classes, Targets::Hard(labels));
        reference::softmax(&spec.clone().with_reduction(Reduction::Fixed(4.0)), &batch, Upstream::One)
            .expect("legal")
    };
    let classes = run(&SoftmaxLoss::seesaw(&three), &first, 3, &[2, -100, -100, 0]);
    let objectness = run(&SoftmaxLoss::cross_entropy(), &second, 2, &[0, 1, -100, 0]);
    near(&[output.loss], &[classes.loss + objectness.loss], 1e-15);
    let expected: Vec<f64> = classes
        .gradient
        .chunks(3)
        .zip(objectness.gradient.chunks(2))
        .flat_map(|(first, last)| first.iter().chain(last).copied().collect::<Vec<f64>>())
        .collect();
    near(&output.gradient, &expected, 1e-15);
    assert_eq!(output.classes.counts, Some(vec![41, 9, 2]));
    // Scores: softmax of the classes times p(object); they sum to 1.
    let scores = reference::objectness_scores(&logits, 5).expect("legal");
    for row in scores.chunks(4) {
        near(&[row.iter().sum()], &[1.0], 1e-14);
    }
    // p(object) = 3/4, classes 1/4, 3/4.
    let scores = reference::objectness_scores(&[1.0, 3.0, 3.0, 1.0].map(f64::ln), 4).expect("legal");
    near(&scores, &[3.0 / 16.0, 9.0 / 16.0, 0.25], 1e-15);
    let masked = reference::objectness_scores(&[MASK, MASK, 0.0, 0.0], 4).expect("legal");
    near(&masked, &[0.0, 0.0, 0.5], 1e-15);
}

#[test]
fn objectness_refuses() {
    let spec = ObjectnessLoss::default();
    let run = |spec: &ObjectnessLoss, columns: usize, labels: &[i32]| {
        let logits = vec![0.0; columns * labels.len()];
        reference::objectness(spec, &Batch::new(&logits, columns, Targets::Hard(labels)), Upstream::One)
    };
    assert!(matches!(run(&spec, 2, &[0]), Err(Error::Parameter { name: "the number of columns", .. })));
    assert!(matches!(run(&spec, 4, &[0, 3]), Err(Error::Label { row: 1, label: Some(3), .. })));
    assert!(matches!(run(&spec.clone().with_ignore_index(2), 4, &[0]), Err(Error::Parameter { .. })));
    let mut apart = spec.clone();
    apart.objectness.ignore_index = None;
    assert!(matches!(run(&apart, 4, &[0]), Err(Error::Combination { .. })));
    apart.classes.ignore_index = None;
    assert!(matches!(run(&apart, 4, &[0]), Err(Error::Missing { .. })));
    for labels in [&[][..], &[-100, -100], &[2, 2]] {
        let output = run(&spec, 4, labels).expect("legal");
        assert_eq!(output.classes.loss, 0.0);
        assert_eq!(output.objectness.loss > 0.0, labels == [2, 2]);
    }
    let nan = reference::objectness(
        &spec,
        &Batch::new(&[0.0, 0.0, f64::NAN], 3, Targets::Hard(&[1])),
        Upstream::One,
    );
    assert!(matches!(nan, Err(Error::NonFinite { .. })));
    assert!(matches!(reference::objectness_scores(&[0.0; 5], 3), Err(Error::Length { .. })));
}

#[test]
fn bbns_share_falls_from_1_to_0() {
    // 1 - (1/2)^2 half way; the file's 59/200 is in `golden.rs`.
    assert_eq!([1, 51, 101].map(|epoch| bbn_lambda(epoch, 100).expect("legal")), [1.0, 0.75, 0.0]);
    for (epoch, epochs) in [(0, 100), (102, 100), (1, 0)] {
        assert!(matches!(bbn_lambda(epoch, epochs), Err(Error::Parameter { .. })));
    }
}

/// Balanced meta-softmax's inner loss: rows that are not drawn have no part, and N stays.
#[test]
fn balanced_meta_softmax_weighs_rows() {
    let two = counts(&[3, 1]);
    let logits = wave(6);
    let batch = Batch::new(&logits, 2, Targets::Hard(&[0, 1, 1]));
    let run = |spec: &SoftmaxLoss, batch: &Batch<'_, f64>| {
        reference::softmax(spec, batch, Upstream::One).expect("legal")
    };
    let all = run(&SoftmaxLoss::balanced(&two), &batch);
    let drawn = run(&SoftmaxLoss::balanced_meta(&two), &batch.with_row_weights(&[1.0, 0.0, 1.0]));
    near(&[drawn.loss], &[(all.row_loss[0] + all.row_loss[2]) / 3.0], 1e-15);
    assert_eq!(drawn.row_loss[1], 0.0);
}
