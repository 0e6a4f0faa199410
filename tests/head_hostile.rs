//! Heads and what they refuse: rows of zero, ignored rows, wrong shapes, numbers that are none. Each has its typed
//! error or its documented value.

#[path = "support/close.rs"]
mod close;

use close::all_close;
use longtail::head::{
    Beyond, ClassScale, Head, HeadBatch, HeadInput, HeadLoss, Inference, MarginGradient, RowNorm, Similarity,
    TargetMargin,
};
use longtail::method::HEADS;
use longtail::softmax::Influence;
use longtail::{ClassCounts, Error, Reduction, SoftmaxLoss, Targets, Upstream, reference};

fn with(mut head: Head, change: impl FnOnce(&mut Head)) -> Head {
    change(&mut head);
    head
}

#[test]
fn rows_of_zero_have_values() {
    for method in HEADS {
        let head = (method.build)();
        let features = [0.0; 4];
        let weights = [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, -1.0, 0.5];
        let (bias, scale, centre) = ([0.5, 0.25], [1.0, 2.0], [0.0; 4]);
        let mut input = HeadInput::new(&features, &weights, 4, 2);
        input.bias = head.bias.then_some(&bias);
        input.class_scale = (head.class_scale != ClassScale::None).then_some(&scale);
        input.centre = head.centred.then_some(&centre);
        let spec = HeadLoss::new(head, SoftmaxLoss::cross_entropy());
        for label in [0, 1] {
            let labels = [label];
            let batch = HeadBatch::new(input, Targets::Hard(&labels));
            let found = reference::head(&spec, &batch, Upstream::One).unwrap();
            let all = [&found.logits, &found.feature_gradient, &found.weight_gradient];
            assert!(all.iter().all(|values| values.iter().all(|value| value.is_finite())), "{}", method.name);
        }
    }
    // PyTorch's normalize: the gradient by a row of 0 is divided by eps; p = 1/2, w^ = (0.6, 0.8) and (1, 0).
    let spec = HeadLoss::new(Head::cosine(2.0), SoftmaxLoss::cross_entropy());
    let input = HeadInput::new(&[0.0, 0.0], &[3.0, 4.0, 1.0, 0.0], 2, 2);
    let batch = HeadBatch::new(input, Targets::Hard(&[0]));
    let found = reference::head(&spec, &batch, Upstream::One).unwrap();
    for (found, expected) in found.feature_gradient.iter().zip([0.4e12, -0.8e12]) {
        assert!((found - expected).abs() < 1e-2, "{found}");
    }
    // OLTR's squash is the identity at 0.
    let spec = HeadLoss::new(Head::squashed_cosine(2.0), SoftmaxLoss::cross_entropy());
    let found = reference::head(&spec, &batch, Upstream::One).unwrap();
    all_close(&found.feature_gradient, &[0.4, -0.8]);
}

/// Ignored rows get no margin and no gradient; rows without a label in insightface's data are those of label -1.
#[test]
fn ignored_rows() {
    let loss = SoftmaxLoss::cross_entropy().with_ignore_index(Some(-1)).with_reduction(Reduction::MeanKept);
    let spec = HeadLoss::new(Head::arcface_straight_through(0.5, 8.0), loss);
    let features = [1.0, 0.5, -0.2, 0.9];
    let input = HeadInput::new(&features, &[1.0, 0.0, 0.6, 0.8], 2, 2);
    let found =
        reference::head(&spec, &HeadBatch::new(input, Targets::Hard(&[-1, 0])), Upstream::One).unwrap();
    let plain = reference::logits(&spec.head, &input).unwrap();
    assert_eq!(found.logits[..2], plain[..2]);
    assert_ne!(found.logits[2], plain[2]);
    assert_eq!(found.feature_gradient[..2], [0.0, 0.0]);
    // The ignored index may be a class.
    let class = HeadLoss::new(spec.head.clone(), spec.loss.clone().with_ignore_index(Some(1)));
    let found =
        reference::head(&class, &HeadBatch::new(input, Targets::Hard(&[1, 0])), Upstream::One).unwrap();
    assert_eq!(found.logits[..2], plain[..2]);
    // All rows ignored, and no rows at all.
    let found =
        reference::head(&spec, &HeadBatch::new(input, Targets::Hard(&[-1, -1])), Upstream::One).unwrap();
    assert_eq!((found.loss.loss, found.scale_gradient), (0.0, 0.0));
    assert!(found.weight_gradient.iter().all(|slope| *slope == 0.0));
    let empty = HeadInput::new(&[], &[1.0, 0.0, 0.6, 0.8], 2, 2);
    let found = reference::head(&spec, &HeadBatch::new(empty, Targets::Hard(&[])), Upstream::One).unwrap();
    assert_eq!((found.loss.loss, found.weight_gradient), (0.0, vec![0.0; 4]));
    assert!(found.feature_gradient.is_empty());
}

fn refused(spec: &HeadLoss, batch: &HeadBatch<'_, f64>) -> Error {
    reference::head(spec, batch, Upstream::One).expect_err("is refused")
}

#[test]
fn shapes_that_do_not_fit() {
    let spec = HeadLoss::default();
    let (features, weights) = ([1.0; 6], [1.0; 4]);
    let labels = Targets::Hard(&[0, 1, 0]);
    let input = HeadInput::new(&features, &weights, 2, 2);
    let with = |input| refused(&spec, &HeadBatch::new(input, labels));
    let parameter = |name: &str, error: Error| match error {
        Error::Parameter { name: found, .. } => assert_eq!(found, name),
        other => panic!("{other}"),
    };
    let length = |what: &str, expected: u64, found: u64, error: Error| match error {
        Error::Length { what: a, expected: b, found: c } => assert_eq!((a, b, c), (what, expected, found)),
        other => panic!("{other}"),
    };
    parameter("the feature dimension", with(HeadInput { dim: 0, ..input }));
    parameter("the number of classes", with(HeadInput { classes: 0, ..input }));
    length("features", 4, 5, with(HeadInput { features: &features[..5], ..input }));
    length("weights", 6, 4, with(HeadInput { classes: 3, ..input }));
    length("weights", 4, 3, with(HeadInput { weights: &weights[..3], ..input }));
    // D that both could have, but not with this weight matrix.
    length("weights", 6, 4, with(HeadInput { dim: 3, ..input }));
    length("targets", 2, 3, with(HeadInput { features: &features[..4], ..input }));
    for (what, name) in [("biases", "bias"), ("class scales", "scale"), ("the centre", "centre")] {
        let mut spec = spec.clone();
        let mut input = input;
        let three = [1.0; 3];
        match name {
            "bias" => (spec.head.bias, input.bias) = (true, Some(&three[..])),
            "scale" => (spec.head.class_scale, input.class_scale) = (ClassScale::Weights, Some(&three[..])),
            _ => (spec.head.centred, input.centre) = (true, Some(&three[..])),
        }
        length(what, 2, 3, refused(&spec, &HeadBatch::new(input, labels)));
        let missing = HeadInput::new(&features, &weights, 2, 2);
        let error = refused(&spec, &HeadBatch::new(missing, labels));
        assert!(matches!(error, Error::Missing { what: found, .. } if found == what), "{error}");
        let error = refused(&HeadLoss::default(), &HeadBatch::new(input, labels));
        assert!(matches!(error, Error::Unexpected { what: found, .. } if found == what), "{error}");
    }
    // What the loss has to say comes through.
    let label = refused(&spec, &HeadBatch::new(input, Targets::Hard(&[0, 5, 1])));
    assert!(matches!(label, Error::Label { row: 1, label: Some(5), classes: 2, rows: 1 }), "{label}");
    let batch = HeadBatch::new(input, labels).with_row_weights(&[1.0]);
    length("row weights", 3, 1, refused(&spec, &batch));
    let batch = HeadBatch::new(input, labels).with_feature_norms(&[1.0; 3]);
    assert!(matches!(refused(&spec, &batch), Error::Unexpected { what: "feature norms", .. }));
    let error = reference::head(&spec, &HeadBatch::new(input, labels), Upstream::PerRow(&[1.0])).unwrap_err();
    length("the upstream gradient", 3, 1, error);
}

#[test]
fn numbers_that_are_none() {
    let labels = Targets::Hard(&[0, 1]);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let features = [1.0, 2.0, 3.0, bad];
        let input = HeadInput::new(&features, &[1.0; 4], 2, 2);
        let error = refused(&HeadLoss::default(), &HeadBatch::new(input, labels));
        assert_eq!(error, Error::NonFinite { what: "features", row: 1, rows: 1 });
        let weights = [bad, 0.0, bad, 0.0];
        let input = HeadInput::new(&[1.0; 4], &weights, 2, 2);
        let error = refused(&HeadLoss::default(), &HeadBatch::new(input, labels));
        assert_eq!(error, Error::NonFinite { what: "weights", row: 0, rows: 2 });
        let bias = [0.0, bad];
        let input = HeadInput::new(&[1.0; 4], &[1.0; 4], 2, 2).with_bias(&bias);
        let spec = HeadLoss::new(Head::linear().with_bias(), SoftmaxLoss::cross_entropy());
        let error = refused(&spec, &HeadBatch::new(input, labels));
        assert_eq!(error, Error::NonFinite { what: "biases", row: 1, rows: 1 });
    }
    // Finite numbers whose products are not.
    let input = HeadInput::new(&[1e200, 1.0], &[1e200, 1.0], 2, 1);
    let error = reference::logits(&Head::linear(), &input).unwrap_err();
    assert_eq!(error, Error::NonFinite { what: "logits", row: 0, rows: 1 });
    assert!(reference::predict(&Head::linear(), &input, &Inference::default()).is_err());
    // What f32 can hold is no trouble in f64.
    let largest = f64::from(f32::MAX);
    let (features, weights) = ([largest, -largest], [largest, 1e-40]);
    let input = HeadInput::new(&features, &weights, 2, 1);
    let logits = reference::logits(&Head::cosine(2.0), &input).unwrap();
    all_close(&logits, &[2f64.sqrt()]);
}

#[test]
fn parameters_out_of_range() {
    let name = |head: Head| match head.check(3, 4) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    let head = Head::default;
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e39] {
        assert_eq!(name(Head::cosine(scale)), "the head's scale");
    }
    assert_eq!(name(with(head(), |head| head.parts = 0)), "the number of parts");
    assert_eq!(name(with(head(), |head| head.parts = 3)), "the feature dimension");
    for bad in [-1.0, f64::NAN, f64::INFINITY, 1e39] {
        assert_eq!(name(Head::tau_normalised(bad)), "the weights' power");
        let norm = RowNorm { eps: bad, ..RowNorm::unit() };
        assert_eq!(name(with(head(), |head| head.features = norm)), "the features' eps");
        let norm = RowNorm { offset: bad, ..RowNorm::unit() };
        assert_eq!(name(with(head(), |head| head.features = norm)), "the features' offset");
        assert_eq!(name(Head::cosface(bad, 1.0)), "the cosine margin");
        assert_eq!(name(Head::arcface(bad, 1.0)), "the angular margin");
    }
    assert_eq!(name(Head::arcface(3.15, 1.0)), "the angular margin");
    // A row of 0 would be 0 / 0.
    let norm = RowNorm { power: 1.0, eps: 0.0, offset: 0.0 };
    assert_eq!(name(with(head(), |head| head.weights = norm)), "the weights' eps");
    let unused = RowNorm { power: 0.0, ..norm };
    assert!(with(head(), |head| head.weights = unused).check(3, 4).is_ok());
    let many = Head::linear().check(1 << 31, 1);
    assert!(matches!(many, Err(Error::Limit { .. })), "{many:?}");
}

#[test]
fn terms_without_a_joint_meaning() {
    let angle = TargetMargin::Angle { margin: 0.5, beyond: Beyond::Linear, gradient: MarginGradient::Exact };
    let mut distance = Head::cosine(1.0);
    distance.similarity = Similarity::NegativeSquaredDistance;
    for head in [Head::linear(), Head::squashed_cosine(1.0), Head::causal(2, 1.0, 0.1), distance] {
        let found = head.with_margin(angle).check(3, 4);
        assert!(matches!(found, Err(Error::Combination { .. })), "{found:?}");
    }
    let two_parts = with(Head::cosine(1.0), |head| head.parts = 2);
    assert!(two_parts.check(3, 4).is_ok() && two_parts.with_margin(angle).check(3, 4).is_err());
    let input = HeadInput::new(&[1.0; 4], &[1.0; 4], 2, 2);
    let mixed = Targets::Mixed { first: &[0, 1], second: &[1, 1], lambda: &[0.5, 0.5] };
    for targets in [mixed, Targets::Soft(&[1.0; 4])] {
        for head in [Head::arcface(0.5, 8.0), Head::cosface(0.5, 8.0)] {
            let spec = HeadLoss::new(head, SoftmaxLoss::cross_entropy());
            let error = refused(&spec, &HeadBatch::new(input, targets));
            assert!(matches!(error, Error::Combination { .. }), "{error}");
        }
    }
    // The loss's own checks.
    let mut loss = SoftmaxLoss::seesaw(&ClassCounts::new([3, 1]).unwrap());
    loss.influence = Some(Influence { alpha: -1.0, eps: 1e-3, detached: false });
    let error = refused(&HeadLoss::new(Head::linear(), loss), &HeadBatch::new(input, Targets::Hard(&[0, 1])));
    assert!(matches!(error, Error::Parameter { name: "influence alpha", .. }), "{error}");
}

#[test]
fn inference_out_of_range() {
    let input = HeadInput::new(&[1.0; 4], &[1.0; 6], 2, 3);
    let error = |inference: Inference| reference::predict(&Head::linear(), &input, &inference).unwrap_err();
    assert!(matches!(
        error(Inference::top(4)),
        Error::Parameter { name: "the number of classes to name", .. }
    ));
    let adjustment = |values: Vec<f64>| error(Inference::default().with_adjustment(values));
    assert!(matches!(adjustment(vec![1.0]), Error::Length { what: "the adjustment", expected: 3, found: 1 }));
    assert!(matches!(adjustment(vec![0.0, f64::NEG_INFINITY, 0.0]), Error::Parameter { .. }));
    assert!(matches!(adjustment(vec![0.0, f64::NAN, 0.0]), Error::Parameter { .. }));
    let effect = |values: Vec<f64>, alpha| error(Inference::default().with_effect(values, alpha));
    assert!(matches!(effect(vec![1.0; 3], 1.0), Error::Length { expected: 2, found: 3, .. }));
    assert!(matches!(effect(vec![1.0, f64::INFINITY], 1.0), Error::Parameter { .. }));
    for alpha in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(effect(vec![1.0; 2], alpha), Error::Parameter { name: "the effect's alpha", .. }));
    }
}
