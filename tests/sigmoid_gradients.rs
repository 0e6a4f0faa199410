//! The sigmoid family's analytic gradients against four-point central differences in f64: every method of the table,
//! every term alone and in combinations, on labels and on multi-hot targets.
//!
//! Differences of the loss see through everything that depends on the logits. The one kink is suppression's threshold:
//! the test asserts that no score is near it. A detached focal modulator is a constant in the gradient; there the test
//! computes the factor once and differentiates a loss in which it is a number.

#[path = "support/differences.rs"]
mod differences;

use differences::{agree, differences, wave};
use longtail::method::SIGMOID;
use longtail::sigmoid::{
    Background, EffectiveMode, Focal, Gate, GateSource, GradientBalance, Link, Margin, Rebalance, RowWeight,
    WeightNorm,
};
use longtail::statistics::GradientSums;
use longtail::{Batch, ClassCounts, Reduction, SigmoidLoss, TargetKind, Targets, Upstream, reference};

const ROWS: usize = 5;
const CLASSES: usize = 4;
/// A positive, none, several, and shares.
const HOT: [f32; ROWS * CLASSES] =
    [1., 0., 0., 0., 0., 0., 0., 0., 1., 1., 0., 1., 0.25, 0., 0.5, 1., 0.125, 0.75, 0., 0.];
const GATES: [f32; ROWS * CLASSES] =
    [1., 0., 1., 1., 0., 0., 1., 0., 0.5, 1., 1., 1., 1., 1., 2., 0., 0., 1., 1., 0.];
const ROW_WEIGHTS: [f32; ROWS] = [0.5, 2.0, 1.0, 7.0, 0.0];

fn counts() -> ClassCounts {
    ClassCounts::new([700, 60, 9, 2]).expect("counts")
}

/// Labels of `columns` columns: first, last, ignored, background, second.
fn labels(spec: &SigmoidLoss, columns: usize) -> [i32; ROWS] {
    let background = match spec.background {
        Some(Background::Label(label)) => label,
        Some(Background::Column(column)) => column as i32,
        _ => 0,
    };
    [0, columns as i32 - 1, -100, background, 1]
}

#[track_caller]
fn check(name: &str, spec: &SigmoidLoss, columns: usize, targets: Targets<'_>, gates: Option<&[f32]>) {
    let at: Vec<f64> = wave(ROWS * columns).iter().map(|logit| logit / spec.scale.sqrt()).collect();
    if let Some(term) = &spec.suppression {
        let near = |logit: &f64| (1.0 / (1.0 + (-logit).exp()) - term.threshold).abs() < 0.01;
        assert!(!at.iter().any(near), "{name}: a score at the threshold");
    }
    let run = |logits: &[f64]| {
        let mut batch = Batch::new(logits, columns, targets);
        batch.row_weights = Some(&ROW_WEIGHTS);
        batch.gates = gates;
        reference::sigmoid(spec, &batch, Upstream::One).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let found = run(&at).gradient;
    agree(name, &found, &differences(|logits| run(logits).loss, &at, 1e-3 / spec.scale));
}

#[track_caller]
fn check_both(name: &str, spec: &SigmoidLoss, columns: usize, gates: Option<&[f32]>) {
    let mut checked = 0;
    if spec.check(columns, TargetKind::Hard).is_ok() {
        check(name, spec, columns, Targets::Hard(&labels(spec, columns)), gates);
        checked += 1;
    }
    if spec.check(columns, TargetKind::MultiHot).is_ok() {
        let hot: Vec<f32> = HOT.iter().copied().cycle().take(ROWS * columns).collect();
        check(name, spec, columns, Targets::MultiHot(&hot), gates);
        checked += 1;
    }
    assert!(checked > 0, "{name}: {:?}", spec.check(columns, TargetKind::Hard));
}

#[test]
fn every_method_of_the_table() {
    for method in SIGMOID {
        let spec = (method.build)(&counts()).expect("builds");
        check_both(method.name, &spec, spec.columns(CLASSES), None);
    }
}

fn gate(source: GateSource) -> Gate {
    Gate { tail: vec![true, false, true, true], drop_probability: 0.5, source, seed: 5, step: 2 }
}

fn terms() -> Vec<(&'static str, SigmoidLoss)> {
    let bce = SigmoidLoss::bce;
    let with = |change: &dyn Fn(&mut SigmoidLoss)| {
        let mut spec = bce();
        change(&mut spec);
        spec
    };
    let margin = |summed| Margin { columns: vec![0.1, 0.9, 0.4, -0.3], summed };
    let counts = || vec![700, 60, 9, 2];
    let rebalance = || Rebalance { counts: counts(), alpha: 0.1, beta: 10.0, gamma: 0.2 };
    let balance = GradientBalance {
        sums: GradientSums { positive: vec![1.0, 0.3, 0.0, 5.0], negative: vec![1.5, 0.2, 4.0, 7.0] },
        gamma: 12.0,
        mu: 0.8,
        alpha: 4.0,
    };
    let everything = {
        let balance = balance.clone();
        move |spec: &mut SigmoidLoss| {
            spec.scale = 1.5;
            spec.bias = Some(vec![0.3, -0.7, 0.0, 1.1]);
            spec.margin = Some(margin(true));
            spec.negative_scale = 2.5;
            spec.positive_weight = Some(vec![2.0, 0.5, 1.0, 3.0]);
            spec.class_weights = Some(vec![0.5, 2.0, 1.0, 0.25]);
            spec.row_weight = Some(RowWeight::Mean(vec![0.2, 0.7, 1.5, 3.0]));
            spec.positive_factor = 0.3;
            spec.negative_factor = 0.8;
            spec.gradient_balance = Some(balance.clone());
            spec.gate = Some(gate(GateSource::Element));
            spec.focal = Some(Focal::new(1.5));
            spec.reduction = Reduction::Positives;
        }
    };
    vec![
        (
            "bias and scale",
            with(&|spec| {
                spec.scale = 2.5;
                spec.bias = Some(vec![0.3, -0.7, 0.0, 1.1]);
            }),
        ),
        ("own margins", with(&|spec| spec.margin = Some(margin(false)))),
        (
            "summed margins at scale 30",
            with(&|spec| {
                spec.scale = 30.0;
                spec.margin = Some(margin(true));
            }),
        ),
        ("negative scale", with(&|spec| spec.negative_scale = 5.0)),
        ("positive weight", bce().with_positive_weight(vec![2.0, 0.5, 1.0, 3.0])),
        (
            "positive weight and focal",
            bce().with_positive_weight(vec![2.0, 0.5, 1.0, 3.0]).with_focal(Focal::new(2.0)),
        ),
        ("class weights", bce().with_class_weights(vec![0.5, 2.0, 1.0, 0.25])),
        ("focal 0", bce().with_focal(Focal::new(0.0))),
        ("focal 1/2", bce().with_focal(Focal::new(0.5))),
        (
            "focal 3 and negative scale",
            with(&|spec| {
                spec.focal = Some(Focal::new(3.0));
                spec.negative_scale = 0.4;
            }),
        ),
        ("mean count", bce().with_row_weight(RowWeight::EffectiveOfMean { counts: counts(), beta: 0.99 })),
        ("re-balancing by row", bce().with_rebalance(rebalance()).with_weight_norm(WeightNorm::Row)),
        ("re-balancing by batch", bce().with_rebalance(rebalance()).with_weight_norm(WeightNorm::Batch)),
        ("gradient balance", with(&|spec| spec.gradient_balance = Some(balance.clone()))),
        ("gates by element", bce().with_gate(gate(GateSource::Element))),
        ("gates by row", bce().with_gate(gate(GateSource::Sample))),
        ("gates by class", bce().with_gate(gate(GateSource::Class))),
        ("softmax link", with(&|spec| spec.link = Link::Softmax)),
        (
            "softmax link with terms",
            with(&|spec| {
                spec.link = Link::Softmax;
                spec.scale = 0.7;
                spec.margin = Some(margin(true));
                spec.class_weights = Some(vec![0.5, 2.0, 1.0, 0.25]);
                spec.gate = Some(gate(GateSource::Element));
            }),
        ),
        ("everything", with(&everything)),
    ]
}

#[test]
fn every_term() {
    for (name, spec) in terms() {
        check_both(name, &spec, CLASSES, None);
    }
}

#[test]
fn given_gates_and_weights() {
    for spec in
        [SigmoidLoss::bce().with_gate(gate(GateSource::Given)), SigmoidLoss::bce().with_given_weights(true)]
    {
        check_both("given", &spec, CLASSES, Some(&GATES));
        check_both("given, focal", &spec.with_focal(Focal::new(2.0)), CLASSES, Some(&GATES));
    }
}

#[test]
fn every_reduction() {
    for reduction in [
        Reduction::None,
        Reduction::Sum,
        Reduction::Mean,
        Reduction::MeanKept,
        Reduction::Elements,
        Reduction::Positives,
        Reduction::Fixed(3.5),
    ] {
        let spec =
            SigmoidLoss::effective_number(&counts(), 0.9, EffectiveMode::SmallestCount).expect("builds");
        check_both("reduction", &spec.with_reduction(reduction), CLASSES, None);
    }
}

/// The gradient sums are those of the differences: what flows back to each logit without the denominator.
#[test]
fn gradient_sums_are_those_of_the_rows() {
    let mut spec = SigmoidLoss::equalization_v2(CLASSES - 1).with_focal(Focal::new(1.0));
    spec.gradient_balance.as_mut().expect("balance").sums.positive = vec![1.0, 0.5, 2.0, 0.0];
    let at = wave(ROWS * CLASSES);
    let labels = labels(&spec, CLASSES);
    let run = |logits: &[f64]| {
        let batch = Batch::new(logits, CLASSES, Targets::Hard(&labels)).with_row_weights(&ROW_WEIGHTS);
        reference::sigmoid(&spec, &batch, Upstream::One).expect("legal")
    };
    let slopes = differences(|logits| run(logits).row_loss.iter().sum(), &at, 1e-3);
    let (mut positive, mut negative) = (vec![0.0; CLASSES], vec![0.0; CLASSES]);
    for (row, label) in labels.iter().enumerate() {
        for class in 0..CLASSES - 1 {
            let sums = if *label == class as i32 { &mut positive } else { &mut negative };
            sums[class] += slopes[row * CLASSES + class].abs();
        }
    }
    let found = run(&at).gradient_sums.expect("balance");
    agree("positive", &found.positive, &positive);
    agree("negative", &found.negative, &negative);
}

#[test]
fn a_detached_modulator_is_a_constant() {
    let focal = Focal { gamma: 2.0, detached: true, weight_inside: false };
    let spec = SigmoidLoss::bce().with_focal(focal).with_factors(0.25, 0.75);
    let at = wave(ROWS * CLASSES);
    let element = |logit: f64, t: f64| {
        let s = 1.0 / (1.0 + (-logit).exp());
        (-t * s.ln() - (1.0 - t) * (1.0 - s).ln(), t * (1.0 - s) + (1.0 - t) * s)
    };
    let pairs = |logits: &[f64]| {
        logits
            .iter()
            .zip(HOT)
            .map(|(logit, t)| (element(*logit, f64::from(t)), f64::from(t)))
            .collect::<Vec<_>>()
    };
    let factors: Vec<f64> =
        pairs(&at).iter().map(|((_, rest), t)| (0.25 * t + 0.75 * (1.0 - t)) * rest * rest).collect();
    let loss = |logits: &[f64]| {
        let sum: f64 = pairs(logits).iter().zip(&factors).map(|(((bce, _), _), factor)| factor * bce).sum();
        sum / (ROWS * CLASSES) as f64
    };
    let batch = Batch::new(&at, CLASSES, Targets::MultiHot(&HOT));
    let found = reference::sigmoid(&spec, &batch, Upstream::One).expect("legal");
    agree("detached", &found.gradient, &differences(loss, &at, 1e-3));
}
