//! The heads' analytic gradients against four-point central differences in f64, through the whole step: features,
//! weights, biases and scales to the loss, for every head in front of several losses.

use longtail::head::{Beyond, ClassScale, Head, HeadBatch, HeadInput, HeadLoss, MarginGradient, RowNorm};
use longtail::head::{Similarity, TargetMargin};
use longtail::method::HEADS;
use longtail::softmax::{Focal, Influence};
use longtail::{ClassCounts, Reduction, SoftmaxLoss, Targets, Upstream, reference};

const ROWS: usize = 5;
const CLASSES: usize = 4;
const DIM: usize = 6;
const LABELS: [i32; ROWS] = [2, 0, -100, 2, 1];
const GATES: [f32; ROWS * CLASSES] =
    [1., 0., 1., 1., 0., 1., 1., 0., 1., 1., 1., 1., 1., 0., 0., 1., 1., 0., 1., 1.];

/// What a head reads, as the variables of a function.
#[derive(Clone)]
struct Point {
    features: Vec<f64>,
    weights: Vec<f64>,
    bias: Vec<f64>,
    class_scale: Vec<f64>,
    centre: Vec<f64>,
    scale: f64,
}

fn wave(count: usize, phase: f64) -> Vec<f64> {
    (1..=count).map(|position| 1.5 * (position as f64 * 2.399_963 + phase).sin()).collect()
}

impl Point {
    /// Row 0 lies nearly opposite of its label's weights, row 1 nearly along them, row 4 a little beyond a right angle:
    /// beyond the angular margin's pi, where its slope is steep, and where an easy margin ends.
    fn new(head: &Head) -> Self {
        let mut point = Self {
            features: wave(ROWS * DIM, 0.3),
            weights: wave(CLASSES * DIM, 1.1),
            bias: wave(CLASSES, 2.0),
            class_scale: vec![0.5, 1.25, -0.75, 2.0],
            centre: wave(DIM, 0.7).iter().map(|value| 0.1 * value).collect(),
            scale: head.scale,
        };
        for (row, sign) in [(0, -1.0), (1, 1.0)] {
            let label = LABELS[row] as usize;
            for position in 0..DIM {
                let along = sign * point.weights[label * DIM + position];
                let value = &mut point.features[row * DIM + position];
                *value = 1.3 * along + 0.15 * *value;
            }
        }
        point.features[4 * DIM..].iter_mut().for_each(|value| *value = -*value);
        point
    }

    fn input(&self, head: &Head) -> HeadInput<'_, f64> {
        let mut input = HeadInput::new(&self.features, &self.weights, DIM, CLASSES);
        input.bias = head.bias.then_some(&self.bias);
        input.class_scale = (head.class_scale != ClassScale::None).then_some(&self.class_scale);
        input.centre = head.centred.then_some(&self.centre);
        input
    }

    fn run(&self, spec: &HeadLoss) -> reference::HeadOutput {
        let mut spec = spec.clone();
        spec.head.scale = self.scale;
        let mut batch = HeadBatch::new(self.input(&spec.head), Targets::Hard(&LABELS));
        batch.gates = spec.loss.gate.is_some().then_some(&GATES);
        reference::head(&spec, &batch, Upstream::Scalar(-1.5)).expect("a legal batch")
    }
}

/// The variables of a point, each with the way to it.
type Variable = (&'static str, fn(&mut Point) -> &mut [f64]);
const VARIABLES: [Variable; 5] = [
    ("features", |point| &mut point.features),
    ("weights", |point| &mut point.weights),
    ("bias", |point| &mut point.bias),
    ("class scale", |point| &mut point.class_scale),
    ("scale", |point| std::slice::from_mut(&mut point.scale)),
];

fn differences(f: impl Fn(&Point) -> f64, at: &Point, variable: fn(&mut Point) -> &mut [f64]) -> Vec<f64> {
    let step = 1e-3 / at.scale.max(1.0);
    let count = variable(&mut at.clone()).len();
    let value = |position: usize, by: f64| {
        let mut moved = at.clone();
        variable(&mut moved)[position] += by;
        f(&moved)
    };
    (0..count)
        .map(|position| {
            let near = value(position, step) - value(position, -step);
            let far = value(position, 2.0 * step) - value(position, -2.0 * step);
            (8.0 * near - far) / (12.0 * step)
        })
        .collect()
}

#[track_caller]
fn agree(name: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    assert!(largest > 1e-4, "{name}: nothing to compare");
    for (position, (found, expected)) in found.iter().zip(expected).enumerate() {
        // The step to the fourth times a fifth derivative, and rounding of the loss over the step: 1e-13 / 1e-5.
        let allowed = 1e-6 * expected.abs() + 2e-8 * largest.max(1e-2);
        assert!((found - expected).abs() <= allowed, "{name}[{position}]: {found} is not {expected}");
    }
}

/// The gradients of an output in the order of [`VARIABLES`].
fn gradients(output: &reference::HeadOutput) -> [Option<Vec<f64>>; 5] {
    [
        Some(output.feature_gradient.clone()),
        Some(output.weight_gradient.clone()),
        output.bias_gradient.clone(),
        output.class_scale_gradient.clone(),
        Some(vec![output.scale_gradient]),
    ]
}

/// Differences of `f`, which has the loss's value or slope at `at`, against the reference.
fn check(name: &str, spec: &HeadLoss, at: &Point, f: impl Fn(&Point) -> f64) -> usize {
    let mut compared = 0;
    for ((variable, way), found) in VARIABLES.into_iter().zip(gradients(&at.run(spec))) {
        let Some(found) = found else { continue };
        // The upstream factor is -1.5.
        let expected: Vec<f64> = differences(&f, at, way).iter().map(|slope| -1.5 * slope).collect();
        agree(&format!("{name}: {variable}"), &found, &expected);
        compared += 1;
    }
    compared
}

fn counts() -> ClassCounts {
    ClassCounts::new([100, 30, 8, 2]).unwrap()
}

/// Losses whose every factor moves with the logits.
fn attached() -> Vec<(&'static str, SoftmaxLoss)> {
    let ldam = SoftmaxLoss::ldam(&counts(), 0.5, 3.0).unwrap();
    let given = SoftmaxLoss::equalization_given();
    vec![
        ("cross-entropy", SoftmaxLoss::cross_entropy()),
        ("ldam, re-weighted", ldam.with_deferred_reweighting(&counts(), 0.99).unwrap()),
        ("focal", SoftmaxLoss::focal(2.0).with_reduction(Reduction::Sum)),
        ("equalization", given),
        ("balanced, smoothed", SoftmaxLoss::balanced(&counts()).with_label_smoothing(0.1)),
    ]
}

/// The table's heads and combinations that it does not have, with scales that keep the loss curved.
fn heads() -> Vec<(String, Head)> {
    let table = HEADS.iter().map(|method| {
        let head = (method.build)();
        let scale = head.scale.min(4.0);
        (method.name.to_owned(), head.with_scale(scale))
    });
    let mut everything = Head::causal(3, 6.0, 0.25).with_bias();
    everything.features = RowNorm { power: 0.6, eps: 1e-12, offset: 0.5 };
    everything.class_scale = ClassScale::Logits;
    everything.centred = true;
    let mut prototypes = everything.clone().with_margin(TargetMargin::Cosine { margin: 0.3 });
    prototypes.similarity = Similarity::NegativeSquaredDistance;
    prototypes.class_scale = ClassScale::Weights;
    let plain_angle =
        TargetMargin::Angle { margin: 0.4, beyond: Beyond::Nothing, gradient: MarginGradient::Exact };
    table
        .chain([
            ("everything".to_owned(), everything),
            ("prototypes with a margin".to_owned(), prototypes),
            ("arcface without fallback".to_owned(), Head::cosine(3.0).with_margin(plain_angle)),
        ])
        .collect()
}

fn straight_through(head: &Head) -> bool {
    matches!(head.margin, TargetMargin::Angle { gradient: MarginGradient::StraightThrough, .. })
}

#[test]
fn every_head_in_front_of_every_loss() {
    let mut compared = 0;
    for (name, head) in heads().into_iter().filter(|(_, head)| !straight_through(head)) {
        for (loss_name, loss) in attached() {
            let spec = HeadLoss::new(head.clone(), loss);
            let at = Point::new(&spec.head);
            compared +=
                check(&format!("{name}, {loss_name}"), &spec, &at, |point| point.run(&spec).loss.loss);
        }
    }
    assert!(compared > 19 * 5 * 3, "{compared}");
}

/// Seesaw's factors and a straight-through margin are constants: with the slope `g` by the logits at the point,
/// `sum_nj g_nj z_nj` has the gradient of the loss there. (`reference_gradients.rs` proves `g`.)
#[test]
fn factors_held_fixed() {
    let seesaw = SoftmaxLoss::seesaw(&counts());
    let mut specs: Vec<(String, HeadLoss)> =
        heads().into_iter().map(|(name, head)| (name, HeadLoss::new(head, seesaw.clone()))).collect();
    let through = Head::arcface_straight_through(0.5, 4.0);
    for (name, loss) in attached() {
        specs.push((format!("straight through, {name}"), HeadLoss::new(through.clone(), loss)));
    }
    for (name, spec) in specs {
        let at = Point::new(&spec.head);
        let output = at.run(&spec);
        let slope: Vec<f64> = output.loss.gradient.iter().map(|slope| slope / -1.5).collect();
        // What a straight-through margin adds to a logit, which scale and class scale still multiply.
        let shift: Vec<f64> = match straight_through(&spec.head) {
            true => {
                let plain = reference::logits(&spec.head, &at.input(&spec.head)).unwrap();
                output.logits.iter().zip(plain).map(|(with, plain)| (with - plain) / at.scale).collect()
            }
            false => vec![0.0; ROWS * CLASSES],
        };
        let surrogate = |point: &Point| {
            let logits = match straight_through(&spec.head) {
                true => {
                    let head = spec.head.clone().with_scale(point.scale);
                    let plain = reference::logits(&head, &point.input(&head)).unwrap();
                    plain.iter().zip(&shift).map(|(z, shift)| z + point.scale * shift).collect()
                }
                false => point.run(&spec).logits,
            };
            logits.iter().zip(&slope).map(|(z, slope)| z * slope).sum::<f64>()
        };
        check(&name, &spec, &at, surrogate);
    }
}

/// The branches of the angular margin are really taken.
#[test]
fn the_points_reach_every_branch() {
    let head = Head::arcface(0.5, 1.0);
    let at = Point::new(&head);
    let plain = reference::logits(&head, &at.input(&head)).unwrap();
    let cosines: Vec<f64> =
        (0..ROWS).filter_map(|row| Some(plain[row * CLASSES + usize::try_from(LABELS[row]).ok()?])).collect();
    let limit = (std::f64::consts::PI - 0.5).cos();
    assert!(cosines.iter().any(|cosine| *cosine < limit - 0.02), "{cosines:?}");
    assert!(cosines.iter().any(|cosine| *cosine > 0.9), "{cosines:?}");
    assert!(cosines.iter().any(|cosine| (limit..0.0).contains(cosine)), "{cosines:?}");
    assert!(cosines.iter().all(|cosine| cosine.abs() > 0.02 && (cosine - limit).abs() > 0.02), "{cosines:?}");
}

/// Two labels and soft targets go through every head without a margin, influence balancing with the features' own L1
/// norms, which are constants.
#[test]
fn other_targets() {
    let soft: Vec<f32> = (0..ROWS * CLASSES).map(|position| (position % 5) as f32 / 4.0).collect();
    let mixed = Targets::Mixed { first: &LABELS, second: &[1, 1, 0, -100, 2], lambda: &[0.25; ROWS] };
    for targets in [mixed, Targets::Soft(&soft)] {
        let spec = HeadLoss::new(Head::squashed_cosine(4.0), SoftmaxLoss::cross_entropy());
        let at = Point::new(&spec.head);
        let run = |point: &Point| {
            let batch = HeadBatch::new(point.input(&spec.head), targets);
            reference::head(&spec, &batch, Upstream::One).unwrap()
        };
        let found = run(&at).weight_gradient;
        let expected = differences(|point| run(point).loss.loss, &at, |point| &mut point.weights);
        agree("weights", &found, &expected);
    }

    let influence = Influence { alpha: 5.0, eps: 1e-3, detached: false };
    let mut loss = SoftmaxLoss::cross_entropy().with_focal(Focal::new(1.0));
    loss.influence = Some(influence);
    let spec = HeadLoss::new(Head::linear(), loss);
    let at = Point::new(&spec.head);
    let l1 = |row: &[f64]| row.iter().map(|value| value.abs()).sum::<f64>() as f32;
    let norms: Vec<f32> = at.features.chunks(DIM).map(l1).collect();
    let run = |point: &Point, norms: Option<&[f32]>| {
        let mut batch = HeadBatch::new(point.input(&spec.head), Targets::Hard(&LABELS));
        batch.feature_norms = norms;
        reference::head(&spec, &batch, Upstream::One).unwrap()
    };
    let found = run(&at, None);
    let given = run(&at, Some(&norms));
    assert_eq!(found, given);
    let expected = differences(|point| run(point, Some(&norms)).loss.loss, &at, |point| &mut point.features);
    agree("influence", &found.feature_gradient, &expected);
}

/// Rows on the floor of the norm: the divisor is a constant there.
#[test]
fn short_rows() {
    let mut head = Head::cosine(2.0);
    (head.features.eps, head.weights.eps) = (50.0, 50.0);
    let spec = HeadLoss::new(head, SoftmaxLoss::cross_entropy());
    let mut at = Point::new(&spec.head);
    at.weights[..DIM].iter_mut().for_each(|value| *value *= 100.0);
    at.features[DIM..2 * DIM].iter_mut().for_each(|value| *value *= 100.0);
    check("short rows", &spec, &at, |point| point.run(&spec).loss.loss);
}
