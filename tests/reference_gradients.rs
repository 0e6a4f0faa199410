//! The oracle's analytic gradients against four-point central differences in f64, every term alone and in
//! combinations.
//!
//! Differences of the loss see through everything that depends on the logits. Where a factor is a constant in
//! the gradient by definition (a detached modulator, a detached influence factor, seesaw's factors), the test
//! computes it once from the formula and differentiates a loss in which it is a number.

#[path = "support/differences.rs"]
mod differences;

use differences::{agree, differences, wave};
use longtail::softmax::{Focal, Gate, GateSource, Influence, Seesaw};
use longtail::{Batch, Reduction, SoftmaxLoss, Targets, Upstream, reference};

const ROWS: usize = 4;
const CLASSES: usize = 5;
const LABELS: [i32; ROWS] = [2, 0, -100, 4];
const NORMS: [f32; ROWS] = [0.5, 2.0, 1.0, 7.0];
const GATES: [f32; ROWS * CLASSES] =
    [1., 0., 1., 1., 0., 0., 1., 0., 1., 1., 1., 1., 1., 1., 1., 0., 0., 1., 1., 0.];

fn logits() -> Vec<f64> {
    wave(ROWS * CLASSES)
}

fn spec(change: impl FnOnce(&mut SoftmaxLoss)) -> SoftmaxLoss {
    let mut spec = SoftmaxLoss::default();
    change(&mut spec);
    spec
}

fn weights() -> Vec<f64> {
    vec![0.5, 2.0, 1.0, 0.25, 3.0]
}

fn run(spec: &SoftmaxLoss, batch: &Batch<'_, f64>) -> reference::Output {
    reference::softmax(spec, batch, Upstream::One).expect("a legal batch")
}

/// The gradient in the logits and in the class scales.
#[track_caller]
fn check<'a>(
    name: &str,
    spec: &SoftmaxLoss,
    targets: Targets<'a>,
    add: impl Fn(Batch<'a, f64>) -> Batch<'a, f64>,
) {
    let at = logits();
    let step = 1e-3 / spec.scale;
    let loss = |spec: &SoftmaxLoss, logits: &[f64]| {
        // The optional inputs outlive the moved logits, so the batch is put together anew.
        let extra = add(Batch::new(&[], CLASSES, targets));
        let mut batch = Batch::new(logits, CLASSES, targets);
        batch.row_weights = extra.row_weights;
        batch.feature_norms = extra.feature_norms;
        batch.gates = extra.gates;
        run(spec, &batch)
    };
    let output = loss(spec, &at);
    agree(name, &output.gradient, &differences(|logits| loss(spec, logits).loss, &at, step));
    let scales = spec.class_scale.clone().unwrap_or_else(|| vec![1.0; CLASSES]);
    let by_scale = |scales: &[f64]| {
        let mut spec = spec.clone();
        spec.class_scale = Some(scales.to_vec());
        loss(&spec, &at).loss
    };
    let name = format!("{name}, class scale");
    agree(&name, &output.class_scale_gradient, &differences(by_scale, &scales, step));
}

/// Specs whose every factor moves with the logits.
fn attached() -> Vec<(&'static str, SoftmaxLoss)> {
    let bias = vec![0.3, -0.7, 1.1, 0.0, -2.0];
    let margin = vec![0.1, 0.2, 0.9, 0.4, 1.5];
    let ldam = spec(|spec| {
        spec.scale = 30.0;
        spec.margin = Some(margin.iter().map(|margin| 30.0 * margin).collect());
    });
    let gate = Gate {
        tail: vec![true, true, false, true, true],
        drop_probability: 0.5,
        source: GateSource::Element,
        seed: 5,
        step: 2,
    };
    let gated = spec(|spec| {
        spec.gate = Some(gate);
        spec.margin = Some(margin.clone());
    });
    let scaled = spec(|spec| {
        spec.class_scale = Some(vec![0.5, 1.0, -1.5, 2.0, 0.75]);
        spec.bias = Some(bias.clone());
    });
    let by_class = spec(|spec| {
        spec.class_smoothing = Some(vec![0.0, 0.1, 0.4, 0.9, 1.0]);
        spec.class_weights = Some(weights());
    });
    let ce = SoftmaxLoss::default;
    let inside = Focal { gamma: 1.5, detached: false, weight_inside: true };
    vec![
        ("cross-entropy", ce()),
        ("class weights", ce().with_class_weights(weights())),
        ("temperature", ce().with_temperature(2.5)),
        ("bias", spec(|spec| spec.bias = Some(bias.clone()))),
        ("margin", spec(|spec| spec.margin = Some(margin.clone()))),
        ("class scale and bias", scaled.clone()),
        ("smoothing", ce().with_label_smoothing(0.2)),
        ("smoothing with weights", ce().with_label_smoothing(0.2).with_class_weights(weights())),
        ("class smoothing", by_class.clone()),
        ("z-loss", ce().with_z_loss(0.1)),
        ("focal 0", ce().with_focal(Focal::new(0.0))),
        ("focal 1/2", ce().with_focal(Focal::new(0.5))),
        ("focal 2 with weights", ce().with_focal(Focal::new(2.0)).with_class_weights(weights())),
        ("focal inside", ce().with_focal(inside).with_class_weights(weights())),
        ("gates and margin", gated),
        ("LDAM at scale 30", ldam.clone()),
        (
            "LDAM, focal, weights, smoothing, z-loss",
            ldam.with_focal(Focal::new(1.0))
                .with_class_weights(weights())
                .with_label_smoothing(0.1)
                .with_z_loss(1e-3),
        ),
        ("class smoothing and focal inside", by_class.with_focal(inside)),
        ("everything scaled", scaled.with_temperature(0.5).with_z_loss(0.05).with_focal(Focal::new(3.0))),
    ]
}

#[test]
fn one_label() {
    for (name, spec) in attached() {
        check(name, &spec, Targets::Hard(&LABELS), |batch| batch);
    }
}

#[test]
fn two_labels() {
    let targets =
        Targets::Mixed { first: &LABELS, second: &[2, 1, -100, 0], lambda: &[0.25, 0.875, 0.5, 0.0] };
    for (name, spec) in attached() {
        check(name, &spec, targets, |batch| batch);
    }
}

#[test]
fn soft_targets() {
    let targets: Vec<f32> = (0..ROWS * CLASSES).map(|position| (position % 7) as f32 / 8.0).collect();
    for (name, spec) in attached() {
        if spec.check(CLASSES, longtail::TargetKind::Soft).is_ok() {
            check(name, &spec, Targets::Soft(&targets), |batch| batch);
        }
    }
}

#[test]
fn row_weights_and_reductions() {
    for reduction in [Reduction::None, Reduction::Mean, Reduction::MeanKept, Reduction::Fixed(3.5)] {
        let spec = SoftmaxLoss::default().with_class_weights(weights()).with_reduction(reduction);
        check("row weights", &spec, Targets::Hard(&LABELS), |batch| batch.with_row_weights(&NORMS));
    }
}

#[test]
fn given_gates() {
    let gate = Gate { tail: vec![], drop_probability: 0.0, source: GateSource::Given, seed: 0, step: 0 };
    let spec = spec(|spec| spec.gate = Some(gate)).with_focal(Focal::new(2.0));
    let mixed = Targets::Mixed { first: &LABELS, second: &[1; ROWS], lambda: &[0.25; ROWS] };
    for targets in [Targets::Hard(&LABELS), mixed] {
        check("given gates", &spec, targets, |batch| batch.with_gates(&GATES));
    }
}

#[test]
fn influence_that_is_not_detached() {
    let influence = Influence { alpha: 5.0, eps: 1e-3, detached: false };
    let plain = spec(|spec| spec.influence = Some(influence)).with_class_weights(weights());
    let inside = Focal { gamma: 1.0, detached: false, weight_inside: true };
    let mixed = Targets::Mixed { first: &LABELS, second: &[1; ROWS], lambda: &[0.25; ROWS] };
    for spec in [plain.clone(), plain.clone().with_focal(inside), plain.with_label_smoothing(0.3)] {
        for targets in [Targets::Hard(&LABELS), mixed] {
            check("influence", &spec, targets, |batch| batch.with_feature_norms(&NORMS));
        }
    }
}

/// `-log softmax(logits)_label` by the definition, and the label's probability.
fn log_loss(logits: &[f64], label: usize) -> (f64, f64) {
    let p = logits[label].exp() / logits.iter().map(|logit| logit.exp()).sum::<f64>();
    (-p.ln(), p)
}

/// The kept rows of `logits` with their labels.
fn kept(logits: &[f64]) -> impl Iterator<Item = (usize, &[f64], usize)> {
    let labelled = logits.chunks(CLASSES).zip(LABELS).enumerate();
    labelled.filter_map(|(row, (logits, label))| Some((row, logits, usize::try_from(label).ok()?)))
}

/// The gradient of `sum_n factor_n l_n / 3` (3 rows are kept) with the factors fixed where `at` is.
fn with_fixed_factors(at: &[f64], factor: impl Fn(usize, f64, usize) -> f64) -> Vec<f64> {
    let factors: Vec<f64> =
        kept(at).map(|(row, logits, label)| factor(row, log_loss(logits, label).1, label)).collect();
    let loss = |moved: &[f64]| {
        let rows = kept(moved).zip(&factors);
        rows.map(|((_, logits, label), factor)| factor * log_loss(logits, label).0).sum::<f64>() / 3.0
    };
    differences(loss, at, 1e-3)
}

#[test]
fn detached_factors_are_constants() {
    let at = logits();
    let batch = Batch::new(&at, CLASSES, Targets::Hard(&LABELS));

    let focal = Focal { gamma: 2.0, detached: true, weight_inside: false };
    let found = run(&SoftmaxLoss::default().with_focal(focal), &batch);
    agree("focal", &found.gradient, &with_fixed_factors(&at, |_, p, _| (1.0 - p).powi(2)));

    let focal = Focal { gamma: 2.0, detached: true, weight_inside: true };
    let inside = SoftmaxLoss::default().with_focal(focal).with_class_weights(weights());
    let found = run(&inside.with_reduction(Reduction::MeanKept), &batch);
    let factor = |_, p: f64, label: usize| {
        let weight = weights()[label];
        weight * (1.0 - p.powf(weight)).powi(2)
    };
    agree("focal inside", &found.gradient, &with_fixed_factors(&at, factor));

    let influence = Influence { alpha: 5.0, eps: 0.25, detached: true };
    let found = run(
        &spec(|spec| {
            spec.influence = Some(influence);
            spec.focal = Some(Focal { gamma: 1.0, detached: true, weight_inside: false });
        }),
        &batch.with_feature_norms(&NORMS),
    );
    let factor = |row: usize, p: f64, _| 5.0 / (2.0 * (1.0 - p) * f64::from(NORMS[row]) + 0.25) * (1.0 - p);
    agree("influence", &found.gradient, &with_fixed_factors(&at, factor));
}

#[test]
fn seesaw_factors_are_constants() {
    let at = logits();
    // Counts with the batch's labels 2, 0 and 4 in; mitigation acts on all pairs but equal ones.
    let (before, after) = ([100, 50, 9, 8, 0], [101.0f64, 50.0, 10.0, 8.0, 1.0]);
    let bias = [0.5, -0.25, 0.0, 0.125, -1.0];
    for (p, q, eps, bias) in [
        (0.8, 2.0, 0.01, [0.0; CLASSES]),
        (0.8, 0.0, 0.01, [0.0; CLASSES]),
        (0.0, 2.0, 0.3, [0.0; CLASSES]),
        (0.8, 2.0, 0.0, bias),
    ] {
        let spec = spec(|spec| {
            spec.seesaw = Some(Seesaw { p, q, eps, counts: before.to_vec(), count_batch: true });
            spec.bias = Some(bias.to_vec());
        });
        let found = run(&spec, &Batch::new(&at, CLASSES, Targets::Hard(&LABELS)));
        assert_eq!(found.counts, Some(after.map(|count| count as u64).to_vec()));

        // The authors' S_yj = M_yj C_yj as plain products of powers, then cross-entropy on z + bias + log S.
        let adjusted = |logits: &[f64]| -> Vec<f64> { logits.iter().zip(bias).map(|(z, a)| z + a).collect() };
        let factors: Vec<Vec<f64>> = kept(&at)
            .map(|(_, logits, label)| {
                let v = adjusted(logits);
                let s = |class: usize| (-log_loss(&v, class).0).exp();
                let factor = |class: usize| {
                    let m =
                        if after[class] < after[label] { (after[class] / after[label]).powf(p) } else { 1.0 };
                    let ratio = s(class) / s(label).max(eps);
                    let c = if ratio > 1.0 { ratio.powf(q) } else { 1.0 };
                    if class == label { 1.0 } else { m * c }
                };
                (0..CLASSES).map(factor).collect()
            })
            .collect();
        assert!(factors.iter().flatten().any(|factor| *factor != 1.0));
        let loss = |moved: &[f64]| {
            let row = |((_, logits, label), factors): ((usize, &[f64], usize), &Vec<f64>)| {
                let u: Vec<f64> = adjusted(logits).iter().zip(factors).map(|(v, s)| v + s.ln()).collect();
                log_loss(&u, label).0
            };
            kept(moved).zip(&factors).map(row).sum::<f64>() / 3.0
        };
        let expected = loss(&at);
        assert!((found.loss - expected).abs() <= 1e-13 * expected, "{} is not {expected}", found.loss);
        agree("seesaw", &found.gradient, &differences(loss, &at, 1e-3));
    }
}
