//! The grouped family's oracle against values derived by hand, its properties, and what it refuses.
//!
//! Logits are logarithms of odds; each expected value is derived in the comment above it.

#[path = "support/close.rs"]
mod close;

use close::{all_close, close};
use std::collections::BTreeSet;

use longtail::grouped::{Child, GroupReduction, OthersSampling, Segment, Taxonomy};
use longtail::method::GROUPED;
use longtail::random::DrawSource;
use longtail::{
    Batch, ClassCounts, Error, GroupedLoss, Reduction, SoftmaxLoss, TargetKind, Targets, Upstream, reference,
};

fn run(spec: &GroupedLoss, batch: &Batch<'_, f64>) -> reference::GroupedOutput {
    reference::grouped(spec, batch, Upstream::One).expect("a legal batch")
}

fn wave(length: usize) -> Vec<f64> {
    (1..=length).map(|position| 2.0 * (position as f64 * 2.399_963).sin()).collect()
}

/// Columns [background, object | others, class 0 | others, class 1, class 2]; labels 0 is background, then the classes.
fn two_groups(ratio: f64) -> GroupedLoss {
    GroupedLoss::balanced_groups(&[vec![0], vec![1, 2]], ratio, 5).expect("builds")
}

#[test]
fn columns_of_balanced_groups() {
    let spec = two_groups(8.0);
    assert_eq!(spec.columns(), 7);
    assert_eq!(spec.labels, [vec![0], vec![1, 3], vec![1, 5], vec![1, 6]]);
    assert_eq!(
        spec.segments,
        [Segment::new(2), Segment::new(2).with_others(true), Segment::new(3).with_others(true)]
    );
    let v2 = GroupedLoss::balanced_groups_v2(&[vec![0], vec![1, 2]], 8.0, 5).expect("builds");
    assert_eq!(v2.labels, [vec![1, 5], vec![3, 5], vec![4, 5], vec![6]]);
    // A group without a class has its column of others.
    let sparse = GroupedLoss::balanced_groups(&[vec![], vec![0]], 8.0, 5).expect("builds");
    assert_eq!((sparse.columns(), sparse.labels[1].clone()), (5, vec![1, 4]));
}

#[test]
fn balanced_groups_by_hand() {
    // Rows: class 0, background, class 1, all logits 0. Every row counts in every segment: log 2 + log 2 + log 3.
    let batch = Batch::new(&[0.0; 21], 7, Targets::Hard(&[1, 0, 2]));
    let output = run(&two_groups(8.0), &batch);
    close(output.loss, 2.0 * 2f64.ln() + 3f64.ln());
    all_close(&output.row_loss, &[12f64.ln(); 3]);
    assert_eq!(output.segment_rows, [3.0; 3]);
    let rows = [
        [0.5, -0.5, 0.5, -0.5, -2.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0],
        [-0.5, 0.5, -0.5, 0.5, -2.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0],
        [0.5, -0.5, -0.5, 0.5, 1.0 / 3.0, -2.0 / 3.0, 1.0 / 3.0],
    ];
    let expected: Vec<f64> = rows.iter().flatten().map(|slope| slope / 3.0).collect();
    all_close(&output.gradient, &expected);
    // Row weights multiply loss and gradient and leave the denominators; ignored rows take no part.
    let weighted = run(&two_groups(8.0), &batch.with_row_weights(&[2.0, 0.0, 1.0]));
    close(weighted.loss, 12f64.ln());
    let ignored = run(&two_groups(8.0), &Batch::new(&[0.0; 21], 7, Targets::Hard(&[1, -100, 2])));
    assert_eq!((ignored.segment_rows, ignored.row_loss[1]), (vec![2.0; 3], 0.0));
    close(ignored.loss, 12f64.ln());
}

#[test]
fn a_group_without_a_row_does_not_count() {
    let output = run(&two_groups(8.0), &Batch::new(&[0.0; 14], 7, Targets::Hard(&[0, 0])));
    close(output.loss, 2f64.ln());
    assert_eq!(output.segment_rows, [2.0, 0.0, 0.0]);
    assert!(output.gradient.chunks(7).all(|row| row[2..].iter().all(|slope| *slope == 0.0)));
}

#[test]
fn others_are_as_many_as_the_ratio_says() {
    // 3 of 40 rows are of class 0, 1 of class 1: with ratio 2.5 int(7.5) and int(2.5) others.
    let labels: Vec<i32> =
        (0..40).map(|row| [0, 1, 2][usize::from(row % 15 == 4) + 2 * usize::from(row == 7)]).collect();
    assert_eq!(labels.iter().filter(|label| **label == 1).count(), 3);
    let logits = vec![0.0; 280];
    let batch = Batch::new(&logits, 7, Targets::Hard(&labels));
    let rows = |step: u64| -> Vec<usize> {
        let output = run(&two_groups(2.5).with_step(step), &batch);
        assert_eq!(output.segment_rows, [40.0, 10.0, 3.0]);
        (0..40).filter(|row| output.gradient[7 * row + 2] != 0.0).collect()
    };
    assert_eq!(rows(0), rows(0));
    assert_ne!(rows(0), rows(1));
    assert!(
        labels.iter().enumerate().all(|(row, label)| *label != 1 || rows(0).contains(&row)),
        "own rows stay"
    );
}

#[test]
fn given_weights_of_rows_and_segments() {
    let mut spec = two_groups(8.0);
    spec.sampling.as_mut().expect("sampling").source = DrawSource::Given;
    let batch = Batch::new(&[0.0; 14], 7, Targets::Hard(&[1, 0]));
    // Segment 0: (log 2 + 3 log 2) / 4; segment 1: 1/2 log 2 / max(1/2, 1); segment 2: nothing.
    let output = run(&spec, &batch.with_gates(&[1.0, 0.5, 0.0, 3.0, 0.0, 0.0]));
    close(output.loss, 1.5 * 2f64.ln());
    assert_eq!(output.segment_rows, [4.0, 0.5, 0.0]);
    // Where a row does not count a segment may have nothing but masks.
    let mut masked = [0.0; 14];
    masked[4..7].fill(f64::NEG_INFINITY);
    let batch = Batch::new(&masked, 7, Targets::Hard(&[1, 0])).with_gates(&[1.0, 0.5, 0.0, 3.0, 0.0, 0.0]);
    close(run(&spec, &batch).loss, 1.5 * 2f64.ln());
}

#[test]
fn scores_multiply_along_the_columns() {
    // p(object) = 3/4; class 0: 1/2 of its group; classes 1, 2: 1/6, 3/6.
    let logits = [1.0, 3.0, 1.0, 1.0, 2.0, 1.0, 3.0].map(f64::ln);
    let scores = reference::grouped_scores(&two_groups(8.0), &logits).expect("legal");
    all_close(&scores, &[0.25, 0.375, 0.125, 0.375]);
    // The other order of columns: [others, class 0 | others, class 1, class 2 | object, background].
    let moved = [logits[2], logits[3], logits[4], logits[5], logits[6], logits[1], logits[0]];
    let v2 = GroupedLoss::balanced_groups_v2(&[vec![0], vec![1, 2]], 8.0, 5).expect("builds");
    all_close(&reference::grouped_scores(&v2, &moved).expect("legal"), &[0.375, 0.125, 0.375, 0.25]);
    // A masked column has no score, not even in a segment of nothing else.
    let masked = [0.0, 0.0, f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0, 0.0, 0.0];
    assert_eq!(reference::grouped_scores(&two_groups(8.0), &masked).expect("legal")[1], 0.0);
}

/// Both layouts are one loss.
#[test]
fn the_two_layouts_agree() {
    let (logits, labels) = (wave(28), [1, 0, 3, 2]);
    let moved: Vec<f64> =
        logits.chunks(7).flat_map(|row| [row[2], row[3], row[4], row[5], row[6], row[1], row[0]]).collect();
    let v2 = GroupedLoss::balanced_groups_v2(&[vec![0], vec![1, 2]], 8.0, 5).expect("builds");
    let first = run(&two_groups(8.0), &Batch::new(&logits, 7, Targets::Hard(&labels)));
    let labels = labels.map(|label| (label + 3) % 4);
    let second = run(&v2, &Batch::new(&moved, 7, Targets::Hard(&labels)));
    close(first.loss, second.loss);
}

#[test]
fn one_group_is_softmax_cross_entropy() {
    let (logits, labels) = (wave(20), [3, -100, 0, 4]);
    let batch = Batch::new(&logits, 5, Targets::Hard(&labels)).with_row_weights(&[1.0, 2.0, 0.5, 3.0]);
    let expected = reference::softmax(&SoftmaxLoss::cross_entropy(), &batch, Upstream::One).expect("legal");
    for reduction in [
        GroupReduction::default(),
        GroupReduction::PerGroup,
        GroupReduction::Pairs,
        GroupReduction::Rows(Reduction::WeightedMean),
    ] {
        let found = run(&GroupedLoss::one_group(5).with_reduction(reduction), &batch);
        close(found.loss, expected.loss);
        all_close(&found.gradient, &expected.gradient);
        all_close(&found.row_loss, &expected.row_loss);
        assert_eq!(found.argmax, expected.argmax);
    }
}

/// Labels 0 and 1 below node 1, label 2 below the root: columns [node 1, label 2 | label 0, label 1].
fn tree() -> Taxonomy {
    Taxonomy::new([vec![Child::Node(1), Child::Label(2)], vec![Child::Label(0), Child::Label(1)]])
        .expect("a tree")
}

#[test]
fn hierarchical_softmax_by_hand() {
    // Odds at the root 1, 3, at node 1 1, 4. p(1) = 1/4 4/5 = 1/5, p(2) = 3/4.
    let logits = [1.0, 3.0, 1.0, 4.0].map(f64::ln);
    let both: Vec<f64> = logits.iter().chain(&logits).copied().collect();
    let spec = GroupedLoss::hierarchical(&tree());
    let output = run(&spec, &Batch::new(&both, 4, Targets::Hard(&[1, 2])));
    all_close(&output.row_loss, &[5f64.ln(), (4.0f64 / 3.0).ln()]);
    all_close(&output.gradient, &[-0.375, 0.375, 0.1, -0.1, 0.125, -0.125, 0.0, 0.0]);
    assert_eq!(output.segment_rows, [2.0, 1.0]);
    let scores = reference::grouped_scores(&spec, &logits).expect("legal");
    all_close(&scores, &[0.05, 0.2, 0.75]);
    close(scores.iter().sum(), 1.0);
}

fn deep(ceiling: Option<f64>) -> GroupedLoss {
    let mut spec = GroupedLoss::realistic_taxonomic(&tree(), 0.0, 0).expect("builds");
    let tree = spec.tree.as_mut().expect("a tree");
    tree.source = DrawSource::Given;
    tree.ceiling = ceiling;
    spec
}

#[test]
fn a_realistic_classifier_by_hand() {
    // Odds 2, 3 | 1, 2: scores 2, 4, 3 of 9. Label 1: STS log(9/4); NCL (log(5/2) + log(3/2)) / 2.
    let logits = [2.0, 3.0, 1.0, 2.0].map(f64::ln);
    let open = Batch::new(&logits, 4, Targets::Hard(&[1])).with_gates(&[1.0, 1.0]);
    let output = run(&deep(Some(10.0)), &open);
    close(output.tree_loss, (9f64 / 4.0).ln());
    close(output.segment_loss, 0.5 * (15f64 / 4.0).ln());
    close(output.loss, output.tree_loss + output.segment_loss);
    // q = 2/9, 4/9, 3/9: -1/3, 1/3, 2/9, -5/9; NCL: (2/5 - 1) / 2, (3/5) / 2, (1/3) / 2, (2/3 - 1) / 2.
    let expected = [-1.0 / 3.0 - 0.3, 1.0 / 3.0 + 0.3, 2.0 / 9.0 + 1.0 / 6.0, -5.0 / 9.0 - 1.0 / 6.0];
    all_close(&output.gradient, &expected);
    let scores = reference::leaf_scores(&deep(None), &logits, None).expect("legal");
    all_close(&scores, &[2f64.ln(), 4f64.ln(), 3f64.ln()]);

    // Node 1 closed: scores 2, 2, 3, of which label 0 stands for itself and label 1: log(5/2); q = 2/5, -, 3/5.
    let alone = deep(Some(10.0)).with_weight(0.0);
    let output = run(&alone, &open.with_gates(&[1.0, 0.0]));
    close(output.loss, (5f64 / 2.0).ln());
    all_close(&output.gradient, &[-0.6, 0.6, 0.0, 0.0]);
    // The root's own gate is not looked at.
    close(run(&alone, &open.with_gates(&[0.0, 1.0])).loss, (9f64 / 4.0).ln());
    let scores = reference::leaf_scores(&alone, &logits, Some(&[0.0, 0.0])).expect("legal");
    all_close(&scores, &[2f64.ln(), 2f64.ln(), 3f64.ln()]);
}

#[test]
fn the_ceiling_ends_the_gradient() {
    // Scores 11, 9, 0: 10, 9, 0 under the ceiling; label 0 has no gradient of its own.
    let logits = [10.0, 0.0, 1.0, -1.0];
    let batch = Batch::new(&logits, 4, Targets::Hard(&[1])).with_gates(&[1.0, 1.0]);
    let output = run(&deep(Some(10.0)).with_weight(0.0), &batch);
    let all = 10f64.exp() + 9f64.exp() + 1.0;
    close(output.loss, all.ln() - 9.0);
    let q1 = 9f64.exp() / all;
    all_close(&output.gradient, &[q1 - 1.0, 1.0 / all, 0.0, q1 - 1.0]);
    // Without it label 0 pulls too.
    let output = run(&deep(None).with_weight(0.0), &batch);
    let all = 11f64.exp() + 9f64.exp() + 1.0;
    close(output.loss, all.ln() - 9.0);
    close(output.gradient[2], 11f64.exp() / all);
}

#[test]
fn a_closed_node_closes_what_is_below() {
    // The root has node 1 and label 3, node 1 node 2 and label 2, node 2 labels 0 and 1: columns 0 to 5 in that order.
    let nested = Taxonomy::from_parents(&[None, Some(0), Some(1), Some(2), Some(2), Some(1), Some(0)])
        .expect("a tree");
    let spec = GroupedLoss::hierarchical(&nested);
    assert_eq!(spec.labels, [vec![0, 2, 4], vec![0, 2, 5], vec![0, 3], vec![1]]);
    let logits = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
    let scores = |gates: &[f32]| reference::leaf_scores(&spec, &logits, Some(gates)).expect("legal");
    assert_eq!(scores(&[1.0, 1.0, 1.0]), [21.0, 37.0, 9.0, 2.0]);
    assert_eq!(scores(&[1.0, 1.0, 0.0]), [5.0, 5.0, 9.0, 2.0]);
    assert_eq!(scores(&[1.0, 0.0, 1.0]), [1.0, 1.0, 1.0, 2.0]);
    assert_eq!(scores(&[1.0, 0.0, 0.0]), [1.0, 1.0, 1.0, 2.0]);
}

/// With every node open and no ceiling the tree's loss is softmax cross-entropy of the leaves' scores; with one drawn gate
/// in two, rows differ and steps repeat.
#[test]
fn drawn_gates_of_nodes() {
    let nested = Taxonomy::from_parents(&[None, Some(0), Some(1), Some(2), Some(2), Some(1), Some(0)])
        .expect("a tree");
    let spec = |probability, step| {
        let spec = GroupedLoss::realistic_taxonomic(&nested, probability, 9).expect("builds");
        spec.with_weight(0.0).with_step(step)
    };
    let logits: Vec<f64> = std::iter::repeat_n(wave(6), 32).flatten().collect();
    let labels: Vec<i32> = (0..32).map(|row| row % 4).collect();
    let batch = Batch::new(&logits, 6, Targets::Hard(&labels));
    let open = run(&spec(0.0, 0), &batch);
    let scores = reference::leaf_scores(&spec(0.0, 0), &logits, None).expect("legal");
    let flat = Batch::new(&scores, 4, Targets::Hard(&labels));
    let expected = reference::softmax(&SoftmaxLoss::cross_entropy(), &flat, Upstream::One).expect("legal");
    close(open.loss, expected.loss);
    let (first, again, next) =
        (run(&spec(0.5, 0), &batch), run(&spec(0.5, 0), &batch), run(&spec(0.5, 1), &batch));
    assert_eq!(first, again);
    assert_ne!(first.row_loss, next.row_loss);
    // All closed but the root: the scores are those of the root's two columns.
    let closed = run(&spec(1.0, 0), &batch);
    let root = |label: i32| if label == 3 { 1 } else { 0 };
    let z = wave(6);
    for (label, loss) in labels.iter().zip(&closed.row_loss) {
        close(*loss, (z[0].exp() + z[1].exp()).ln() - z[root(*label)]);
    }
}

#[test]
fn early_exit_stops_where_it_is_unsure() {
    let spec = GroupedLoss::hierarchical(&tree());
    let exit = |odds: [f64; 4], threshold| {
        reference::early_exit(&spec, &odds.map(f64::ln), threshold).expect("legal")[0]
    };
    // Root 3/4 sure, node 1 2/3: at 0.7 it stops at node 1, at 0.6 it gets to label 1, at 0.8 it stays at the root.
    let decision = exit([3.0, 1.0, 1.0, 2.0], 0.7);
    assert_eq!((decision.label, decision.column, decision.classes), (None, Some(0), 2));
    close(decision.score, 3f64.ln());
    assert!(decision.covers(&spec, 0) && decision.covers(&spec, 1) && !decision.covers(&spec, 2));
    close(decision.predicted_bits(&spec, 1), 1.0 / 3.0);
    assert_eq!(decision.predicted_bits(&spec, 2), 0.0);
    let decision = exit([3.0, 1.0, 1.0, 2.0], 0.6);
    assert_eq!((decision.label, decision.column, decision.classes), (Some(1), Some(3), 1));
    assert_eq!((decision.predicted_bits(&spec, 1), decision.predicted_bits(&spec, 0)), (1.0, 0.0));
    let decision = exit([3.0, 1.0, 1.0, 2.0], 0.8);
    assert_eq!((decision.label, decision.column, decision.classes), (None, None, 3));
    assert_eq!(decision.predicted_bits(&spec, 2), 0.0);
    // Threshold 0: always a leaf, of the highest score: 3 * 1, 3 * 2, 1.
    assert_eq!(exit([3.0, 1.0, 1.0, 2.0], 0.0).label, Some(1));
    // A closed node keeps the score of the way to it: 3 against 4.
    assert_eq!(exit([3.0, 4.0, 1.0, 1.0], 0.55).label, Some(2));
    assert!(matches!(reference::early_exit(&spec, &[0.0; 4], 1.5), Err(Error::Parameter { .. })));
}

#[test]
fn masks_and_bad_rows() {
    let mask = f64::NEG_INFINITY;
    let spec = GroupedLoss::hierarchical(&tree());
    // A masked sibling leaves the softmax; a masked target costs infinity and keeps its gradient.
    let output = run(&spec, &Batch::new(&[0.0, 0.0, mask, 0.0], 4, Targets::Hard(&[1])));
    close(output.loss, 2f64.ln());
    all_close(&output.gradient[2..], &[0.0, 0.0]);
    let output = run(&spec, &Batch::new(&[0.0, 0.0, mask, 0.0], 4, Targets::Hard(&[0])));
    assert_eq!(output.loss, f64::INFINITY);
    all_close(&output.gradient[2..], &[-1.0, 1.0]);
    let silent =
        run(&spec, &Batch::new(&[0.0, 0.0, mask, 0.0], 4, Targets::Hard(&[0])).with_row_weights(&[0.0]));
    assert_eq!((silent.loss, silent.gradient), (0.0, vec![0.0; 4]));
    // A segment of nothing but masks is refused where the label needs it.
    let logits = [0.0, 0.0, mask, mask];
    assert!(reference::grouped(&spec, &Batch::new(&logits, 4, Targets::Hard(&[2])), Upstream::One).is_ok());
    for (logits, labels) in
        [(logits, [0]), ([0.0, f64::NAN, 0.0, 0.0], [-100]), ([0.0, 0.0, f64::INFINITY, 0.0], [2])]
    {
        let found = reference::grouped(&spec, &Batch::new(&logits, 4, Targets::Hard(&labels)), Upstream::One);
        assert_eq!(found, Err(Error::NonFinite { what: "logits", row: 0, rows: 1 }));
    }
    for labels in [vec![], vec![-100, -100]] {
        let logits = vec![1.0; 4 * labels.len()];
        for spec in [spec.clone(), deep(None)] {
            let gates = vec![1.0; 2 * labels.len()];
            let batch = Batch::new(&logits, 4, Targets::Hard(&labels));
            let batch = if spec.tree.is_some() { batch.with_gates(&gates) } else { batch };
            let output = run(&spec, &batch);
            assert_eq!(output.loss, 0.0);
            assert!(output.gradient.iter().all(|slope| *slope == 0.0));
        }
    }
}

#[test]
fn trees_that_are_none() {
    let parents = |parents: &[Option<usize>]| Taxonomy::from_parents(parents).expect_err("no tree");
    let class = |error: Error| match error {
        Error::Structure { part, index, .. } => (part, index),
        other => panic!("{other:?}"),
    };
    assert_eq!(class(parents(&[])), ("the tree", None));
    assert_eq!(class(parents(&[Some(1), Some(0)])), ("the tree", None), "no root");
    assert_eq!(class(parents(&[None, None])), ("node", Some(1)), "two roots");
    assert_eq!(
        class(parents(&[None, Some(0), Some(3), Some(2)])),
        ("node", Some(2)),
        "a cycle beside the tree"
    );
    assert_eq!(class(parents(&[None, Some(9)])), ("node", Some(1)), "no such parent");
    assert_eq!(class(parents(&[None])), ("node", Some(0)), "a root alone");
    let nodes = |nodes: Vec<Vec<Child>>| class(Taxonomy::new(nodes).expect_err("no tree"));
    let (node, label) = (Child::Node, Child::Label);
    assert_eq!(nodes(vec![]), ("the tree", None));
    assert_eq!(nodes(vec![vec![label(0), node(1)], vec![]]), ("node", Some(1)), "a node without a child");
    assert_eq!(nodes(vec![vec![label(0), node(0)]]), ("node", Some(0)), "a node below itself");
    assert_eq!(
        nodes(vec![vec![node(1), node(2)], vec![label(0), node(2)], vec![label(1)]]),
        ("node", Some(2)),
        "two parents"
    );
    assert_eq!(nodes(vec![vec![label(0)], vec![label(1)]]), ("the tree", None), "an unreached node");
    assert_eq!(nodes(vec![vec![label(0), node(7)]]), ("node", Some(0)), "no such node");
    assert_eq!(nodes(vec![vec![label(0), label(0)]]), ("label", Some(1)), "a label twice");
    assert_eq!(nodes(vec![vec![label(0), label(2)]]), ("label", Some(1)), "a label missing");
    // Any order of nodes: leaves by number, inner nodes level by level.
    let shuffled = Taxonomy::from_parents(&[Some(3), Some(4), Some(3), Some(4), None]).expect("a tree");
    assert_eq!(shuffled.nodes(), [vec![label(1), node(1)], vec![label(0), label(2)]]);
}

#[test]
fn groups_that_are_none() {
    for make in [GroupedLoss::balanced_groups, GroupedLoss::balanced_groups_v2] {
        let class = |groups: &[Vec<u32>]| match make(groups, 8.0, 0) {
            Err(Error::Structure { part: "class", index, .. }) => index,
            other => panic!("{other:?}"),
        };
        assert_eq!(class(&[vec![0, 1], vec![1]]), Some(1), "in two groups");
        assert_eq!(class(&[vec![0, 0]]), Some(0), "twice in one");
        assert_eq!(class(&[vec![0], vec![2]]), Some(2), "class 1 is in none");
        for bad in [f64::NAN, -1.0, f64::INFINITY] {
            let found = make(&[vec![0]], bad, 0);
            assert!(matches!(found, Err(Error::Parameter { name: "the ratio of others", .. })), "{found:?}");
        }
    }
    let counts = ClassCounts::new([5, 500]).expect("counts");
    assert!(matches!(counts.bins(&[10, 10]), Err(Error::Parameter { name: "a bin's bound", .. })));
    assert_eq!(counts.bins(&[]).expect("one bin"), [vec![0, 1]]);
    // A bound belongs to the bin above it.
    let bounds = ClassCounts::new([10, 9, 100, 99, 0]).expect("counts").bins(&[10, 100]).expect("bins");
    assert_eq!(bounds, [vec![1, 4], vec![0, 3], vec![2]]);
    assert!(matches!(GroupedLoss::realistic_taxonomic(&tree(), 1.5, 0), Err(Error::Parameter { .. })));
}

#[test]
fn specs_without_a_meaning() {
    let change = |spec: &GroupedLoss, change: &dyn Fn(&mut GroupedLoss)| {
        let mut spec = spec.clone();
        change(&mut spec);
        spec.check(spec.columns(), TargetKind::Hard)
    };
    let (groups, deep) = (two_groups(8.0), deep(None));
    let structure = |found: longtail::Result<()>, expected: (&str, Option<usize>)| match found {
        Err(Error::Structure { part, index, .. }) => assert_eq!((part, index), expected),
        other => panic!("{expected:?}: {other:?}"),
    };
    structure(change(&groups, &|spec| spec.labels[2] = vec![]), ("label", Some(2)));
    structure(change(&groups, &|spec| spec.labels[2] = vec![5, 6]), ("label", Some(2)));
    structure(change(&groups, &|spec| spec.labels[2] = vec![5, 1]), ("label", Some(2)));
    structure(change(&groups, &|spec| spec.labels[2] = vec![1, 7]), ("label", Some(2)));
    structure(change(&deep, &|spec| spec.labels[0] = vec![2]), ("label", Some(0)));
    structure(change(&deep, &|spec| spec.labels[0] = vec![0]), ("label", Some(0)));
    structure(change(&deep, &|spec| spec.labels[1] = vec![0, 2]), ("label", Some(1)));
    structure(change(&deep, &|spec| spec.labels.truncate(2)), ("the tree", None));
    structure(change(&deep, &|spec| spec.segments[1].parent = None), ("segment", Some(1)));
    structure(change(&deep, &|spec| spec.segments[0].parent = Some(1)), ("segment", Some(0)));
    structure(change(&deep, &|spec| spec.segments[1].parent = Some(3)), ("segment", Some(1)));
    let said = change(&groups, &|spec| spec.labels[2] = vec![]).expect_err("refused").to_string();
    assert_eq!(said, "label 2: it has no column: put it into a group");
    let combination =
        |found: longtail::Result<()>| assert!(matches!(found, Err(Error::Combination { .. })), "{found:?}");
    combination(change(&groups, &|spec| spec.segments[0].sampled = true));
    combination(change(&groups, &|spec| spec.reduction = GroupReduction::Rows(Reduction::Elements)));
    let sampling = OthersSampling { ratio: 1.0, source: DrawSource::Counter, seed: 0, step: 0 };
    combination(change(&deep, &|spec| spec.sampling = Some(sampling)));
    combination(change(&deep, &|spec| spec.segments[1].others = true));
    combination(groups.check(7, TargetKind::MultiHot));
    assert!(matches!(change(&groups, &|spec| spec.sampling = None), Err(Error::Missing { .. })));
    let parameter = |found: longtail::Result<()>, expected: &str| {
        assert!(matches!(&found, Err(Error::Parameter { name, .. }) if *name == expected), "{found:?}");
    };
    parameter(change(&groups, &|spec| spec.weight = f64::NAN), "weight");
    parameter(change(&groups, &|spec| spec.segments[0].columns = 0), "a segment's columns");
    parameter(
        change(&groups, &|spec| spec.reduction = GroupReduction::Rows(Reduction::Fixed(0.0))),
        "the fixed denominator",
    );
    parameter(change(&deep, &|spec| spec.tree.as_mut().expect("tree").weight = -1.0), "the tree's weight");
    parameter(
        change(&deep, &|spec| spec.tree.as_mut().expect("tree").drop_probability = 2.0),
        "drop_probability",
    );
    parameter(
        change(&deep, &|spec| spec.tree.as_mut().expect("tree").ceiling = Some(f64::NAN)),
        "the ceiling",
    );
    parameter(GroupedLoss::default().check(0, TargetKind::Hard), "the number of classes");
    assert!(matches!(groups.check(8, TargetKind::Hard), Err(Error::Length { expected: 8, found: 7, .. })));
    // Batches.
    let check =
        |batch: &Batch<'_, f64>| reference::grouped(&groups, batch, Upstream::One).expect_err("refused");
    let error = check(&Batch::new(&[0.0; 14], 7, Targets::Hard(&[4, 0])));
    assert_eq!(error, Error::Label { row: 0, label: Some(4), classes: 4, rows: 1 });
    let batch = Batch::new(&[0.0; 7], 7, Targets::Hard(&[0]));
    assert!(matches!(check(&batch.with_gates(&[1.0; 3])), Error::Unexpected { .. }));
    let missing = reference::grouped(&deep, &Batch::new(&[0.0; 4], 4, Targets::Hard(&[0])), Upstream::One);
    assert!(matches!(missing, Err(Error::Missing { what: "gates", .. })));
    let no_tree = reference::leaf_scores(&groups, &[0.0; 7], None);
    assert!(matches!(no_tree, Err(Error::Missing { .. })), "{no_tree:?}");
    assert!(matches!(reference::leaf_scores(&deep, &[0.0; 4], Some(&[1.0])), Err(Error::Length { .. })));
    assert!(matches!(reference::grouped_scores(&groups, &[0.0; 8]), Err(Error::Length { .. })));
}

#[test]
fn the_table_builds_and_names_its_terms() {
    for counts in [vec![5000, 120, 13, 1], vec![8, 8, 8], vec![3]] {
        let counts = ClassCounts::new(counts).expect("counts");
        for method in GROUPED {
            let loss = (method.build)(&counts).unwrap_or_else(|error| panic!("{}: {error}", method.name));
            loss.check(loss.columns(), method.targets)
                .unwrap_or_else(|error| panic!("{}: {error}", method.name));
            let set = [
                ("others", loss.segments.iter().any(|segment| segment.others)),
                ("sampling", loss.sampling.is_some()),
                ("parents", loss.segments.iter().any(|segment| segment.parent.is_some())),
                ("tree sampling", loss.tree.is_some()),
            ];
            let expected: BTreeSet<&str> =
                set.into_iter().filter_map(|(name, set)| set.then_some(name)).collect();
            let found: BTreeSet<&str> = method.terms.split(", ").collect();
            assert_eq!(found, expected, "{}", method.name);
        }
    }
}
