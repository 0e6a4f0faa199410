//! Heads in f64 against values derived by hand, and what holds for all of them. Gradients are in `head_gradients.rs`, bad
//! input in `head_hostile.rs`, the authors' values in `golden.rs`.

#[path = "support/close.rs"]
mod close;

use close::all_close;
use std::collections::BTreeSet;
use std::f64::consts::{FRAC_PI_2, PI};

use longtail::head::{
    ClassScale, Head, HeadBatch, HeadInput, HeadLoss, Inference, RowNorm, RunningMean, SINE_FLOOR,
    Similarity, TargetMargin, class_means,
};
use longtail::method::{self, HEADS};
use longtail::{Error, SoftmaxLoss, Targets, Upstream, reference};

/// The logits of one row of features.
#[track_caller]
fn row<const D: usize>(head: &Head, features: [f64; D], weights: &[[f64; D]]) -> Vec<f64> {
    let weights = weights.as_flattened();
    reference::logits(head, &HeadInput::new(&features, weights, D, weights.len() / D)).expect("legal")
}

#[test]
fn cosines() {
    // |x| = 5, |w| = 13: (3 * 5 + 4 * 12) / 65 = 63/65; the second class is orthogonal; the third has no direction.
    let weights = [[5.0, 12.0], [-4.0, 3.0], [0.0, 0.0]];
    all_close(&row(&Head::cosine(13.0), [3.0, 4.0], &weights), &[63.0 / 5.0, 0.0, 0.0]);
    // The survey's bias comes after the scale.
    let bias = [1.0, -2.0, 0.5];
    let head = Head::cosine(10.0).with_bias();
    let flat = weights.as_flattened();
    let input = HeadInput::new(&[3.0, 4.0], flat, 2, 3).with_bias(&bias);
    all_close(&reference::logits(&head, &input).unwrap(), &[126.0 / 13.0 + 1.0, -2.0, 0.5]);
    // OLTR: |x| / (1 + |x|) = 5/6 of the cosine.
    let squashed = row(&Head::squashed_cosine(6.0), [3.0, 4.0], &weights);
    all_close(&squashed, &[5.0 * 63.0 / 65.0, 0.0, 0.0]);
}

#[test]
fn weights_by_a_power_of_their_norm() {
    // |w| = 16: w / 16^(1/2) = w / 4, w / 16^(5/4) = w / 32.
    let weights = [[0.0, 16.0], [0.0, 0.0]];
    all_close(&row(&Head::tau_normalised(0.5), [7.0, 3.0], &weights), &[12.0, 0.0]);
    all_close(&row(&Head::tau_normalised(1.25), [7.0, 3.0], &weights), &[1.5, 0.0]);
    assert_eq!(
        row(&Head::tau_normalised(0.0), [7.0, 3.0], &weights),
        row(&Head::linear(), [7.0, 3.0], &weights)
    );
}

#[test]
fn learned_scales_with_and_without_the_bias() {
    // w.x = 2 and 6.
    let base =
        HeadInput::new(&[2.0], &[1.0, 3.0], 1, 2).with_class_scale(&[0.5, -2.0]).with_bias(&[10.0, 1.0]);
    let paper = Head::learnable_weight_scaling().with_bias();
    all_close(&reference::logits(&paper, &base).unwrap(), &[11.0, -11.0]);
    let code = Head::learnable_logit_scaling();
    all_close(&reference::logits(&code, &base).unwrap(), &[6.0, -14.0]);
}

/// Parts (3, 4 | 0, 2) of x have the unit rows (0.6, 0.8 | 0, 1); with gamma 1, (0, 3 | 4, 0) of w becomes
/// (0, 3/4 | 4/5, 0) and (5, 0 | 0, 9) becomes (5/6, 0 | 0, 9/10).
const CAUSAL_X: [f64; 4] = [3.0, 4.0, 0.0, 2.0];
const CAUSAL_W: [[f64; 4]; 2] = [[0.0, 3.0, 4.0, 0.0], [5.0, 0.0, 0.0, 9.0]];

#[test]
fn causal_heads() {
    let head = Head::causal(2, 20.0, 1.0);
    all_close(&row(&head, CAUSAL_X, &CAUSAL_W), &[10.0 * 0.6, 10.0 * (0.5 + 0.9)]);
    // Whole rows are another classifier: |x|^2 = 29, |w| = 5.
    let whole = Head::causal(1, 20.0, 1.0);
    all_close(&row(&whole, CAUSAL_X, &CAUSAL_W[..1]), &[20.0 * 12.0 / (29f64.sqrt() * 6.0)]);
}

#[test]
fn the_mean_features_effect_is_taken_out() {
    let head = Head::causal(2, 20.0, 1.0);
    let input = HeadInput::new(&CAUSAL_X, CAUSAL_W.as_flattened(), 4, 2);
    // Direction (0, 7 | 0, 0): cos = 0.8 with the unit vector (0, 1), times alpha = 2: (0.6, 0.8 - 1.6 | 0, 1). The
    // part without direction stays.
    let effect = Inference::default().with_effect([0.0, 7.0, 0.0, 0.0], 2.0);
    let found = reference::predict(&head, &input, &effect).unwrap();
    all_close(&found.logits, &[10.0 * -0.6, 10.0 * (0.5 + 0.9)]);
    // Only the direction counts, and alpha 0 changes nothing.
    let longer = Inference::default().with_effect([0.0, 0.07, 0.0, 0.0], 2.0);
    all_close(&reference::predict(&head, &input, &longer).unwrap().logits, &found.logits);
    let nothing = Inference::default().with_effect([1.0, 2.0, 3.0, 4.0], 0.0);
    let plain = reference::logits(&head, &input).unwrap();
    assert_eq!(reference::predict(&head, &input, &nothing).unwrap().logits, plain);
}

/// Features and weights whose one cosine is `cosine`; the loss's logits and its slope by the cosine.
fn target(head: Head, cosine: f64) -> (f64, f64) {
    let sine = (1.0 - cosine * cosine).sqrt();
    let (features, weights) = ([1.0, 0.0], [cosine, sine, 0.0, 1.0]);
    let spec = HeadLoss::new(head, SoftmaxLoss::cross_entropy());
    let batch = HeadBatch::new(HeadInput::new(&features, &weights, 2, 2), Targets::Hard(&[0]));
    let output = reference::head(&spec, &batch, Upstream::One).unwrap();
    // With w of norm 1 the cosine's slope meets the change of w across itself: d cos / d w_0 = sine^2 along (1, 0).
    let slope = output.weight_gradient[0] / (sine * sine) / output.loss.gradient[0];
    (output.logits[0], slope)
}

#[test]
fn angular_margins() {
    // cos m = 0.8, sin m = 0.6.
    let m = 0.6f64.asin();
    // cos theta = 0.6: cos(theta + m) = 0.48 - 0.48; slope 0.8 + 0.6 * 0.6 / 0.8 = 1.25.
    let (logit, slope) = target(Head::arcface(m, 2.0), 0.6);
    all_close(&[logit, slope], &[0.0, 2.0 * 1.25]);
    let (logit, slope) = target(Head::arcface_straight_through(m, 2.0), 0.6);
    all_close(&[logit, slope], &[0.0, 2.0]);
    // cos theta = -0.96 is below cos(pi - m) = -0.8; sine 0.28: cos(theta + m) = -0.768 - 0.168.
    let (logit, slope) = target(Head::arcface(m, 2.0), -0.96);
    all_close(&[logit, slope], &[2.0 * (-0.96 - 0.6 * m), 2.0]);
    let (logit, slope) = target(Head::arcface_straight_through(m, 2.0), -0.96);
    all_close(&[logit, slope], &[2.0 * -0.936, 2.0]);
    // -0.6 is above -0.8 but no acute angle.
    let (logit, _) = target(Head::arcface(m, 2.0), -0.6);
    all_close(&[logit], &[2.0 * (-0.48 - 0.48)]);
    let (logit, slope) = target(Head::arcface_easy(m, 2.0), -0.6);
    all_close(&[logit, slope], &[2.0 * -0.6, 2.0]);
    let (logit, _) = target(Head::arcface_easy(m, 2.0), 0.6);
    all_close(&[logit], &[0.0]);
    // CosFace.
    let (logit, slope) = target(Head::cosface(0.25, 2.0), 0.6);
    all_close(&[logit, slope], &[0.7, 2.0]);
}

/// At angle 0 the angular margin's slope has no bound; the floor of the sine gives it one, and the gradient is 0.
#[test]
fn aligned_rows_have_a_gradient() {
    for head in [Head::arcface(0.5, 64.0), Head::arcface(PI, 64.0), Head::arcface(FRAC_PI_2, 64.0)] {
        for sign in [1.0, -1.0] {
            let features = [3.0 * sign, 4.0 * sign];
            let spec = HeadLoss::new(head.clone(), SoftmaxLoss::cross_entropy());
            let batch =
                HeadBatch::new(HeadInput::new(&features, &[6.0, 8.0, 1.0, 0.0], 2, 2), Targets::Hard(&[0]));
            let output = reference::head(&spec, &batch, Upstream::One).unwrap();
            let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
            assert!(finite(&output.feature_gradient) && finite(&output.weight_gradient));
            let label = &output.weight_gradient[..2];
            assert!(label.iter().all(|slope| slope.abs() < 64.0 / SINE_FLOOR * 1e-15), "{label:?}");
        }
    }
}

#[test]
fn nearest_means() {
    // Distances from (3, 4): 0 + 16 and 9 + 9.
    let weights = [[3.0, 0.0], [0.0, 1.0]];
    all_close(&row(&Head::nearest_class_mean(), [3.0, 4.0], &weights), &[-16.0, -18.0]);
    // From (0.6, 0.8): 5.76 + 0.64 and 0.36 + 0.04.
    all_close(&row(&Head::nearest_class_mean_unit(), [3.0, 4.0], &weights), &[-6.4, -0.4]);
    // Centred by (0, 8): (3, -4) / 5 from the means: 5.76 + 0.64 and 0.36 + 3.24.
    let input = HeadInput::new(&[3.0, 4.0], weights.as_flattened(), 2, 2).with_centre(&[0.0, 8.0]);
    let centred = reference::logits(&Head::nearest_class_mean_centred(), &input).unwrap();
    all_close(&centred, &[-6.4, -3.6]);
    all_close(&row(&Head::nearest_class_mean_cosine(), [3.0, 4.0], &weights), &[0.6, 0.8]);
}

#[test]
fn means_of_classes() {
    let features = [3.0, 4.0, 0.0, 2.0, 9.0, 9.0, 0.0, -5.0];
    let labels = [1, 1, -100, 0];
    let means = |norm, centre: Option<&[f64]>| {
        class_means(&features, 2, &labels, 2, Some(-100), norm, centre).unwrap()
    };
    all_close(&means(RowNorm::none(), None), &[0.0, -5.0, 1.5, 3.0]);
    all_close(&means(RowNorm::unit(), None), &[0.0, -1.0, 0.3, 0.9]);
    // Moved by (3, 0): (0, 4), (-3, 2), (-3, -5); offset 1 with the norms 4, sqrt 13, sqrt 34.
    let (a, b) = (13f64.sqrt() + 1.0, 34f64.sqrt() + 1.0);
    let expected = [-3.0 / b, -5.0 / b, -1.5 / a, (0.8 + 2.0 / a) / 2.0];
    all_close(&means(RowNorm::offset(1.0), Some(&[3.0, 0.0])), &expected);

    let wrong = |labels: &[i32], features: &[f64], classes, ignore| {
        class_means(features, 2, labels, classes, ignore, RowNorm::none(), None).unwrap_err()
    };
    let features = [1.0; 4];
    assert!(matches!(wrong(&[0, 2], &features, 2, None), Error::Label { row: 1, label: Some(2), .. }));
    assert!(matches!(wrong(&[0, -1], &features, 2, None), Error::Label { row: 1, label: Some(-1), .. }));
    assert!(matches!(wrong(&[0, 0], &features, 2, None), Error::Statistics { class: Some(1), .. }));
    assert!(matches!(wrong(&[0], &features, 1, None), Error::Length { expected: 2, found: 4, .. }));
    assert!(matches!(wrong(&[0, 0], &[1.0, 1.0, f64::NAN, 1.0], 1, None), Error::NonFinite { row: 1, .. }));
    let centre = class_means(&features, 2, &[0, 0], 1, None, RowNorm::none(), Some(&[1.0]));
    assert!(matches!(centre, Err(Error::Length { what: "the centre", expected: 2, found: 1 })));
}

#[test]
fn the_running_mean() {
    let mut mean = RunningMean::new(2, 0.9);
    mean.update(&[1.0, 2.0, 3.0, 6.0]).unwrap();
    all_close(&mean.mean, &[2.0, 4.0]);
    mean.update(&[10.0, 0.0]).unwrap();
    all_close(&mean.mean, &[11.8, 3.6]);
    mean.update(&[]).unwrap();
    all_close(&mean.mean, &[11.8, 3.6]);
    assert!(matches!(mean.update(&[1.0]), Err(Error::Length { .. })));
    assert!(matches!(mean.update(&[1.0, f64::INFINITY]), Err(Error::NonFinite { row: 0, .. })));
    all_close(&mean.mean, &[11.8, 3.6]);
    assert!(matches!(RunningMean::new(0, 0.9).update(&[]), Err(Error::Parameter { .. })));
    assert!(matches!(RunningMean::new(1, 1.5).update(&[1.0]), Err(Error::Parameter { .. })));
    all_close(
        &[RunningMean::schedule(0.0), RunningMean::schedule(0.004), RunningMean::schedule(1.0)],
        &[1.0, 0.98, 0.9],
    );
}

#[test]
fn predictions_in_order() {
    // Logits 1, 3, 3, -0, 0 in the second row; the first is 0 everywhere.
    let weights = [1.0, 3.0, 3.0, -0.0, 0.0];
    let input = HeadInput::new(&[0.0, 1.0], &weights, 1, 5);
    let found = reference::predict(&Head::linear(), &input, &Inference::top(4)).unwrap();
    assert_eq!(found.classes, [0, 1, 2, 3, 1, 2, 0, 3]);
    all_close(&found.top_logits[4..], &[3.0, 3.0, 1.0, 0.0]);
    let none = reference::predict(&Head::linear(), &input, &Inference::top(0)).unwrap();
    assert!(none.classes.is_empty() && none.top_logits.is_empty() && none.logits.len() == 10);
    // What is subtracted counts.
    let adjusted = Inference::default().with_adjustment(vec![-3.0, 0.0, 1.0, 0.0, 0.0]);
    let found = reference::predict(&Head::linear(), &input, &adjusted).unwrap();
    assert_eq!(found.classes, [0, 0]);
    all_close(&found.top_logits, &[3.0, 4.0]);
    // Plain logits, whatever the margin.
    let cosface = Head::cosface(0.4, 3.0);
    let plain = reference::predict(&cosface, &input, &Inference::default()).unwrap();
    assert_eq!(plain.logits, reference::logits(&Head::cosine(3.0), &input).unwrap());
}

/// What changes nothing, and what must not change the logits.
#[test]
fn invariances() {
    let features: Vec<f64> = (1..=8).map(|position| (f64::from(position) * 2.399_963).sin()).collect();
    let weights: Vec<f64> = (1..=12).map(|position| (f64::from(position) * 1.7).cos()).collect();
    let scaled = |values: &[f64]| {
        let factor = |position: usize| [1e-6, 3.0, 1e9][position / 4];
        values.iter().enumerate().map(|(position, value)| value * factor(position)).collect::<Vec<f64>>()
    };
    let logits = |head: &Head, features: &[f64], weights: &[f64]| {
        reference::logits(head, &HeadInput::new(features, weights, 4, 3)).unwrap()
    };
    let (long_features, long_weights) = (scaled(&features), scaled(&weights));
    for head in [Head::cosine(7.0), Head::arcface(0.5, 7.0), Head::cosface(0.3, 7.0)] {
        let plain = logits(&head, &features, &weights);
        all_close(&logits(&head, &long_features, &long_weights), &plain);
        assert!(plain.iter().all(|logit| logit.abs() <= 7.0));
    }
    // OLTR's and the causal weights' norms still count.
    let squashed = Head::squashed_cosine(7.0);
    assert_ne!(logits(&squashed, &long_features, &weights), logits(&squashed, &features, &weights));
    all_close(&logits(&squashed, &features, &long_weights), &logits(&squashed, &features, &weights));
    let causal = Head::causal(2, 7.0, 0.5);
    all_close(&logits(&causal, &long_features, &weights), &logits(&causal, &features, &weights));
    assert_ne!(logits(&causal, &features, &long_weights), logits(&causal, &features, &weights));
    // Margins of 0 are no margins, one part is the whole row, tau 1 is a cosine up to the features' norm.
    for head in [Head::cosface(0.0, 7.0), Head::arcface(0.0, 7.0)] {
        let spec = |head: Head| HeadLoss::new(head, SoftmaxLoss::cross_entropy());
        let batch = HeadBatch::new(HeadInput::new(&features, &weights, 4, 3), Targets::Hard(&[2, 0]));
        let found = reference::head(&spec(head), &batch, Upstream::One).unwrap();
        let plain = reference::head(&spec(Head::cosine(7.0)), &batch, Upstream::One).unwrap();
        all_close(&found.logits, &plain.logits);
        all_close(&found.feature_gradient, &plain.feature_gradient);
        all_close(&found.weight_gradient, &plain.weight_gradient);
        // The gradient of what does not depend on a length is orthogonal to the row.
        for (row, slope) in features.chunks(4).zip(plain.feature_gradient.chunks(4)) {
            let along: f64 = row.iter().zip(slope).map(|(x, slope)| x * slope).sum();
            assert!(along.abs() < 1e-14, "{along}");
        }
    }
    // Distances of unit rows are cosines: -|a - b|^2 = 2 a.b - 2.
    let mut distance = Head::nearest_class_mean_cosine();
    distance.similarity = Similarity::NegativeSquaredDistance;
    let cosines = logits(&Head::cosine(1.0), &features, &weights);
    let expected: Vec<f64> = cosines.iter().map(|cosine| 2.0 * cosine - 2.0).collect();
    all_close(&logits(&distance, &features, &weights), &expected);
}

/// LDAM's margin in the loss is CosFace's in the head, where all classes have the same.
#[test]
fn a_margin_in_the_loss_is_one_in_the_head() {
    let features = [0.3, -1.0, 0.8, 0.1, 0.9, -0.2];
    let weights = [1.0, 0.5, -0.3, 0.2, -0.8, 0.4, -0.6, 0.7, 0.1];
    let batch = HeadBatch::new(HeadInput::new(&features, &weights, 3, 3), Targets::Hard(&[2, 1]));
    let mut in_loss = SoftmaxLoss::cross_entropy();
    in_loss.margin = Some(vec![10.0 * 0.35; 3]);
    let in_loss = HeadLoss::new(Head::cosine(10.0), in_loss);
    let in_head = HeadLoss::new(Head::cosface(0.35, 10.0), SoftmaxLoss::cross_entropy());
    let a = reference::head(&in_loss, &batch, Upstream::One).unwrap();
    let b = reference::head(&in_head, &batch, Upstream::One).unwrap();
    all_close(&[a.loss.loss], &[b.loss.loss]);
    all_close(&a.feature_gradient, &b.feature_gradient);
    all_close(&a.weight_gradient, &b.weight_gradient);
}

#[test]
fn the_table_is_well_formed() {
    let names: BTreeSet<&str> = HEADS.iter().map(|method| method.name).collect();
    let titles: BTreeSet<&str> = HEADS.iter().map(|method| method.title).collect();
    assert_eq!((names.len(), titles.len()), (HEADS.len(), HEADS.len()), "two rows have one name");
    assert!(method::SOFTMAX.iter().all(|method| !names.contains(method.name)), "a loss has a head's name");
    for method in HEADS {
        assert!(method.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", method.name);
        for text in [method.title, method.formula, method.paper, method.terms] {
            assert!(!text.is_empty() && !text.contains('\n') && text.trim() == text, "{text:?}");
        }
        let head = (method.build)();
        head.check(10, 6).unwrap_or_else(|error| panic!("{}: {error}", method.name));
        let set = [
            ("parts", head.parts > 1),
            ("features' norm", head.features.power != 0.0),
            ("weights' norm", head.weights.power != 0.0),
            ("distance", head.similarity != Similarity::Dot),
            ("scale", head.scale != 1.0),
            ("margin", head.margin != TargetMargin::None),
            ("bias", head.bias),
            ("class scale", head.class_scale != ClassScale::None),
            ("centre", head.centred),
        ];
        let expected: BTreeSet<&str> =
            set.into_iter().filter_map(|(name, set)| set.then_some(name)).collect();
        let found: BTreeSet<&str> = method.terms.split(", ").filter(|&term| term != "none").collect();
        assert_eq!(found, expected, "{}", method.name);
        assert_eq!(method::find_head(method.name).map(|found| found.title), Some(method.title));
    }
    assert!(method::find_head("no_such_head").is_none());
}
