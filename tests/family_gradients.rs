//! Analytic gradients of the grouped losses, LADE, range loss, distillation and objectness against four-point central
//! differences in f64: every method of the tables and what the tables leave out.
//!
//! The kinks are listed where they are: a tree's ceiling, range loss's margin, and a change of which distances it picks. The
//! tests assert that no value is near one.

#[path = "support/differences.rs"]
mod differences;

use differences::{agree, differences, wave};
use longtail::distillation::Expert;
use longtail::grouped::{GroupReduction, Taxonomy};
use longtail::method::{DISTILLATION, GROUPED, LADE, OBJECTNESS};
use longtail::random::DrawSource;
use longtail::softmax::Focal;
use longtail::{
    Batch, ClassCounts, DistillationLoss, GroupedLoss, LadeLoss, ObjectnessLoss, RangeLoss, Reduction,
    SoftmaxLoss, Targets, Upstream, reference,
};

const ROWS: usize = 5;
const ROW_WEIGHTS: [f32; ROWS] = [0.5, 2.0, 1.0, 7.0, 0.25];

fn counts() -> ClassCounts {
    ClassCounts::new([700, 60, 9, 2]).expect("counts")
}

#[track_caller]
fn check_grouped(name: &str, spec: &GroupedLoss, gates: Option<&[f32]>) {
    let (columns, labels) = (spec.columns(), spec.labels.len() as i32);
    let at = wave(ROWS * columns);
    if let Some(ceiling) = spec.tree.and_then(|tree| tree.ceiling) {
        let mut raw = spec.clone();
        raw.tree.as_mut().expect("a tree").ceiling = None;
        // Gates only shorten the sums: check them all.
        for gates in [None, gates] {
            let scores = reference::leaf_scores(&raw, &at, gates).expect("scores");
            assert!(scores.iter().all(|score| (score - ceiling).abs() > 0.005), "{name}: at the ceiling");
        }
    }
    let labels = [0, labels - 1, -100, labels / 2, 1 % labels];
    let run = |logits: &[f64]| {
        let mut batch = Batch::new(logits, columns, Targets::Hard(&labels));
        batch.row_weights = Some(&ROW_WEIGHTS);
        batch.gates = gates;
        reference::grouped(spec, &batch, Upstream::One).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let found = run(&at).gradient;
    agree(name, &found, &differences(|logits| run(logits).loss, &at, 1e-3));
}

#[test]
fn every_grouped_method() {
    for method in GROUPED {
        check_grouped(method.name, &(method.build)(&counts()).expect("builds"), None);
    }
}

#[test]
fn trees_with_gates_and_ceilings() {
    let tree = Taxonomy::from_parents(&[None, Some(0), Some(1), Some(2), Some(2), Some(1), Some(0), Some(1)])
        .expect("a tree");
    let deep = GroupedLoss::realistic_taxonomic(&tree, 0.5, 4).expect("builds");
    check_grouped("drawn", &deep, None);
    let mut given = deep;
    let term = given.tree.as_mut().expect("a tree");
    (term.source, term.ceiling, term.weight) = (DrawSource::Given, Some(1.3), 0.7);
    let gates = [1., 1., 0., 1., 0., 1., 1., 1., 1., 0., 0., 0., 1., 1., 1.];
    check_grouped("given, under a ceiling", &given, Some(&gates));
    check_grouped("the tree alone", &given.with_weight(0.0), Some(&gates));
}

#[test]
fn grouped_reductions_and_given_rows() {
    let groups = GroupedLoss::balanced_groups(&[vec![2, 0], vec![1]], 0.5, 3).expect("builds");
    for reduction in [
        GroupReduction::PerGroup,
        GroupReduction::Pairs,
        GroupReduction::Rows(Reduction::None),
        GroupReduction::Rows(Reduction::Mean),
        GroupReduction::Rows(Reduction::MeanKept),
        GroupReduction::Rows(Reduction::Fixed(2.5)),
    ] {
        check_grouped("reduction", &groups.clone().with_reduction(reduction), None);
    }
    let mut given = groups;
    given.sampling.as_mut().expect("sampling").source = DrawSource::Given;
    let gates: Vec<f32> = (0..3 * ROWS).map(|position| (position % 4) as f32 / 2.0).collect();
    check_grouped("given rows", &given, Some(&gates));
}

#[test]
fn lade() {
    let labels = [0, 3, -100, 3, 1];
    let at = wave(ROWS * 4);
    let mut specs: Vec<(&str, LadeLoss)> =
        LADE.iter().map(|method| (method.name, (method.build)(&counts()).expect("builds"))).collect();
    let focal = SoftmaxLoss::prior_ce(&counts()).with_focal(Focal::new(2.0));
    specs.push((
        "with focal",
        LadeLoss::regulariser(&counts(), 0.5).with_weight(3.0).with_cross_entropy(Some(focal)),
    ));
    for (name, spec) in specs {
        let run = |logits: &[f64]| {
            reference::lade(&spec, &Batch::new(logits, 4, Targets::Hard(&labels)), Upstream::One)
                .expect("legal")
        };
        agree(name, &run(&at).gradient, &differences(|logits| run(logits).loss, &at, 1e-3));
    }
}

/// By how much the distances within a class, and those of the centres, differ at least.
fn smallest_gap(features: &[f64], labels: &[i32]) -> f64 {
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    let gap = |points: &[Vec<f64>]| {
        let pairs = points
            .iter()
            .enumerate()
            .flat_map(|(at, a)| points[at + 1..].iter().map(move |b| distance(a, b)));
        let mut distances: Vec<f64> = pairs.collect();
        distances.sort_by(f64::total_cmp);
        distances.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min)
    };
    let of_label = |label: i32| -> Vec<Vec<f64>> {
        let rows = features.chunks(3).zip(labels).filter(|(_, other)| **other == label);
        rows.map(|(row, _)| row.to_vec()).collect()
    };
    let centre = |rows: Vec<Vec<f64>>| -> Vec<f64> {
        (0..3).map(|at| rows.iter().map(|row| row[at]).sum::<f64>() / rows.len() as f64).collect()
    };
    let centres: Vec<Vec<f64>> = [5, 9, 2].map(|label| centre(of_label(label))).to_vec();
    [of_label(5), of_label(9), centres].iter().map(|points| gap(points)).fold(f64::INFINITY, f64::min)
}

#[test]
fn range_loss() {
    let labels = [5, 9, 5, -100, 9, 5, 9, 5, 2];
    let at = wave(labels.len() * 3);
    for (pairs, margin) in [(2, 4.0), (1, 4.0), (9, 0.0)] {
        let spec = RangeLoss::new(pairs, margin).with_weights(0.3, 0.9);
        let run =
            |features: &[f64]| reference::range(&spec, features, 3, &labels, Upstream::One).expect("legal");
        let output = run(&at);
        // Away from the margin, and which pairs are picked does not change within the step.
        assert!(output.inter > 0.05 || margin == 0.0, "at the margin");
        assert!(smallest_gap(&at, &labels) > 0.01, "two distances alike");
        let name = format!("{pairs} pairs, margin {margin}");
        agree(&name, &output.gradient, &differences(|features| run(features).loss, &at, 1e-3));
    }
}

#[track_caller]
fn check_distillation(name: &str, spec: &DistillationLoss) {
    let (labels, at) = ([0, 3, -100, 2, 1], wave(ROWS * 4));
    let teacher: Vec<f64> = wave(ROWS * (4 + spec.teacher_columns(4))).split_off(ROWS * 4);
    let run = |logits: &[f64]| {
        let batch = Batch::new(logits, 4, Targets::Hard(&labels)).with_row_weights(&ROW_WEIGHTS);
        reference::distillation(spec, &batch, &teacher, Upstream::One)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    agree(name, &run(&at).gradient, &differences(|logits| run(logits).loss, &at, 1e-3));
}

#[test]
fn distillation() {
    for method in DISTILLATION {
        check_distillation(method.name, &(method.build)(&counts()).expect("builds"));
    }
    let experts = [Expert::new([3, 0]).with_weight(0.4), Expert::new([2])];
    let base = SoftmaxLoss::seesaw(&counts()).with_label_smoothing(0.1);
    check_distillation(
        "some classes",
        &DistillationLoss::lfme(experts).with_teacher_power(0.5).with_squared(true),
    );
    for reduction in [Reduction::None, Reduction::Sum, Reduction::MeanKept, Reduction::Fixed(7.0)] {
        check_distillation(
            "reduction",
            &DistillationLoss::hinton(2.0).with_reduction(reduction).with_weight(0.3),
        );
    }
    // Seesaw's factors are constants in its gradient; at q 0 they do not depend on the logits.
    let mut base = base;
    base.seesaw.as_mut().expect("seesaw").q = 0.0;
    check_distillation("with a base", &DistillationLoss::hinton(2.0).with_base(Some(base), 0.6));
}

#[test]
fn objectness() {
    let labels = [0, 4, -100, 3, 4];
    let at = wave(ROWS * 6);
    for method in OBJECTNESS {
        let mut spec: ObjectnessLoss = (method.build)(&counts()).expect("builds");
        // As above.
        spec.classes.seesaw.as_mut().expect("seesaw").q = 0.0;
        for reduction in [Reduction::Mean, Reduction::Fixed(3.0), Reduction::MeanKept] {
            let spec = spec.clone().with_reduction(reduction);
            let run = |logits: &[f64]| {
                let batch = Batch::new(logits, 6, Targets::Hard(&labels)).with_row_weights(&ROW_WEIGHTS);
                reference::objectness(&spec, &batch, Upstream::One).expect("legal")
            };
            agree(method.name, &run(&at).gradient, &differences(|logits| run(logits).loss, &at, 1e-3));
        }
    }
}
