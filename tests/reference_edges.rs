//! The oracle where rows are masked, certain, ignored, absent, huge or not finite.

#[path = "support/close.rs"]
mod close;

use close::all_close;
use longtail::softmax::{Focal, Gate, GateSource, Influence, Seesaw};
use longtail::{Batch, Error, Reduction, SoftmaxLoss, Targets, Upstream, reference};

const MASK: f64 = f64::NEG_INFINITY;

fn spec(change: impl FnOnce(&mut SoftmaxLoss)) -> SoftmaxLoss {
    let mut spec = SoftmaxLoss::default();
    change(&mut spec);
    spec
}

fn run(spec: &SoftmaxLoss, batch: &Batch<'_, f64>) -> reference::Output {
    reference::softmax(spec, batch, Upstream::One).expect("a legal batch")
}

#[test]
fn a_masked_class_has_probability_0() {
    // By logit or by bias: odds 1 against 3, the middle class out. A negative scale does not bring it back.
    let logits = [0.0, MASK, 3f64.ln()];
    let by_logit = spec(|spec| spec.class_scale = Some(vec![1.0, -1.0, 1.0]));
    let output = run(&by_logit, &Batch::new(&logits, 3, Targets::Hard(&[0])));
    all_close(&[output.loss], &[4f64.ln()]);
    all_close(&output.gradient, &[-0.75, 0.0, 0.75]);
    assert_eq!(output.class_scale_gradient[1], 0.0);

    let by_bias = spec(|spec| spec.bias = Some(vec![0.0, MASK, 0.0]));
    let output = run(&by_bias, &Batch::new(&[0.0, 7.0, 3f64.ln()], 3, Targets::Hard(&[0])));
    all_close(&[output.loss], &[4f64.ln()]);
    all_close(&output.gradient, &[-0.75, 0.0, 0.75]);

    // Smoothing asks for the logarithm of its probability 0, unless its weight is 0.
    let smooth = by_bias.with_label_smoothing(0.3);
    let batch = Batch::new(&logits, 3, Targets::Hard(&[0]));
    assert_eq!(run(&smooth, &batch).loss, f64::INFINITY);
    assert!(run(&smooth.with_class_weights(vec![1.0, 0.0, 1.0]), &batch).loss.is_finite());
    // A soft target of 0 there costs nothing, any other infinity.
    let soft =
        |targets: &[f32]| run(&SoftmaxLoss::default(), &Batch::new(&logits, 3, Targets::Soft(targets)));
    all_close(&[soft(&[1.0, 0.0, 0.0]).loss], &[4f64.ln()]);
    assert_eq!(soft(&[1.0, 0.5, 0.0]).loss, f64::INFINITY);
}

#[test]
fn a_masked_label_costs_infinity_and_still_has_a_gradient() {
    let logits = [0.0, MASK, 3f64.ln()];
    let batch = Batch::new(&logits, 3, Targets::Hard(&[1]));
    let focal = |gamma| SoftmaxLoss::default().with_focal(Focal::new(gamma));
    let inside = SoftmaxLoss::default().with_class_weights(vec![9.0, 1.0, 9.0]).with_focal(Focal {
        gamma: 0.5,
        detached: false,
        weight_inside: true,
    });
    let no_floor = spec(|spec| {
        spec.seesaw = Some(Seesaw { p: 1.0, q: 2.0, eps: 0.0, counts: vec![5; 3], count_batch: false });
    });
    for spec in [SoftmaxLoss::default(), focal(0.0), focal(0.5), focal(2.0), inside, no_floor] {
        let output = run(&spec, &batch);
        assert_eq!(output.loss, f64::INFINITY);
        // q = (1/4, 0, 3/4); p l tends to 0, so focal's slope is 1.
        all_close(&output.gradient, &[0.25, -1.0, 0.75]);
        assert_eq!(output.target_probability, [0.0]);
    }
    let influence = spec(|spec| spec.influence = Some(Influence { alpha: 3.0, eps: 1.0, detached: false }));
    let output = run(&influence, &batch.with_feature_norms(&[1.0]));
    // 3 / (2 * 1 * 1 + 1) = 1.
    all_close(&output.gradient, &[0.25, -1.0, 0.75]);
    // A weight of 0 silences it.
    for spec in [SoftmaxLoss::default(), focal(2.0)] {
        let output = run(&spec, &batch.with_row_weights(&[0.0]));
        assert_eq!((output.loss, output.gradient), (0.0, vec![0.0; 3]));
        let output = run(&spec.with_class_weights(vec![1.0, 0.0, 1.0]), &batch);
        assert_eq!((output.loss, output.gradient), (0.0, vec![0.0; 3]));
    }
}

#[test]
fn certain_rows_keep_their_digits() {
    // l = log1p(e^-40) = e^-40 to 1 part in 1e17, where 1 - p computed from p is 0.
    let tail = (-40f64).exp();
    for (gamma, modulator) in [(0.0, 1.0), (0.5, (-20f64).exp()), (2.0, (-80f64).exp())] {
        let spec = SoftmaxLoss::default().with_focal(Focal::new(gamma));
        let output = run(&spec, &Batch::new(&[40.0, 0.0], 2, Targets::Hard(&[0])));
        // F = m l, F' = m (1 + gamma p l / (1 - p)) -> m (1 + gamma).
        assert!((output.loss / (modulator * tail) - 1.0).abs() < 1e-14, "{gamma}: {}", output.loss);
        let expected = (1.0 + gamma) * modulator * tail;
        assert!((output.gradient[1] / expected - 1.0).abs() < 1e-14, "{gamma}: {:?}", output.gradient);
        assert!((output.gradient[0] / expected + 1.0).abs() < 1e-14, "{gamma}: {:?}", output.gradient);
        // Where l itself is 0.
        let output = run(&spec, &Batch::new(&[2000.0, 0.0], 2, Targets::Hard(&[0])));
        assert_eq!((output.loss, output.gradient), (0.0, vec![0.0; 2]));
    }
}

#[test]
fn nothing_to_do_is_0() {
    let reductions = [
        Reduction::None,
        Reduction::Sum,
        Reduction::Mean,
        Reduction::MeanKept,
        Reduction::WeightedMean,
        Reduction::Fixed(2.0),
    ];
    for reduction in reductions {
        let spec = SoftmaxLoss::default().with_reduction(reduction);
        let output = run(&spec, &Batch::new(&[], 3, Targets::Hard(&[])));
        assert_eq!((output.loss, output.gradient.len(), output.row_loss.len()), (0.0, 0, 0));
        assert_eq!(output.class_scale_gradient, [0.0; 3]);
        let ignored = Batch::new(&[1.0, 2.0, 3.0, 4.0], 2, Targets::Hard(&[-100, -100]));
        let output = run(&spec, &ignored);
        assert_eq!((output.loss, output.gradient, output.row_loss), (0.0, vec![0.0; 4], vec![0.0; 2]));
        assert_eq!((output.target_probability, output.argmax), (vec![0.0; 2], vec![1, 1]));
        // One class: p = 1.
        let output = run(&spec, &Batch::new(&[5.0], 1, Targets::Hard(&[0])));
        assert_eq!((output.loss, output.gradient), (0.0, vec![0.0]));
    }
    // One class with z-loss: 0.5 * 5^2, of slope 2 * 0.5 * 5.
    let output = run(&SoftmaxLoss::default().with_z_loss(0.5), &Batch::new(&[5.0], 1, Targets::Hard(&[0])));
    assert_eq!((output.loss, output.gradient), (12.5, vec![5.0]));
}

#[test]
fn an_ignored_index_may_be_a_class_or_none() {
    let logits = [0.0; 4];
    let batch = Batch::new(&logits, 2, Targets::Hard(&[1, 0]));
    let output = run(&SoftmaxLoss::default().with_ignore_index(Some(1)), &batch);
    all_close(&output.row_loss, &[0.0, 2f64.ln()]);
    all_close(&[output.loss], &[2f64.ln()]);
    let bad = Batch::new(&logits, 2, Targets::Hard(&[0, -100]));
    let found = reference::softmax(&SoftmaxLoss::default().with_ignore_index(None), &bad, Upstream::One);
    assert!(matches!(found, Err(Error::Label { row: 1, label: Some(-100), .. })), "{found:?}");
}

#[test]
fn rows_that_are_not_finite_are_named() {
    let non_finite = |row, rows| Err(Error::NonFinite { what: "logits", row, rows });
    for bad in [[f64::NAN, 0.0], [f64::INFINITY, 0.0], [MASK, MASK]] {
        let logits = [&[0.0, 0.0], &bad[..], &bad[..]].concat();
        let batch = Batch::new(&logits, 2, Targets::Hard(&[0, 1, 0]));
        assert_eq!(reference::softmax(&SoftmaxLoss::default(), &batch, Upstream::One), non_finite(1, 2));
    }
    // A logit and a bias together leave no class.
    let biased = spec(|spec| spec.bias = Some(vec![0.0, MASK]));
    let batch = Batch::new(&[MASK, 0.0], 2, Targets::Hard(&[1]));
    assert_eq!(reference::softmax(&biased, &batch, Upstream::One), non_finite(0, 1));
    // A mask on the label and a gate on the other.
    let gate = Gate { tail: vec![], drop_probability: 0.0, source: GateSource::Given, seed: 0, step: 0 };
    let gated = spec(|spec| spec.gate = Some(gate));
    let batch = Batch::new(&[MASK, 0.0], 2, Targets::Hard(&[0])).with_gates(&[1.0, 0.0]);
    assert_eq!(reference::softmax(&gated, &batch, Upstream::One), non_finite(0, 1));
}

#[test]
fn huge_logits_do_not_overflow() {
    let output = run(&SoftmaxLoss::default(), &Batch::new(&[3e38, -3e38], 2, Targets::Hard(&[1])));
    assert_eq!(output.loss, 6e38);
    assert_eq!(output.gradient, [1.0, -1.0]);
}
