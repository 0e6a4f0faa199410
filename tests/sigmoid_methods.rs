//! The sigmoid family's constructors: neutral parameters give binary cross-entropy, the numbers are the authors', state
//! goes from step to step and from replica to replica, and what cannot be built or run is refused by name.

use std::collections::BTreeSet;

use longtail::method::SIGMOID;
use longtail::random::DrawSource;
use longtail::sigmoid::{
    Background, EffectiveMode, Focal, GateSource, GradientBalance, Link, Margin, Rebalance, RowWeight,
    WeightNorm, prior_bias,
};
use longtail::statistics::GradientSums;
use longtail::{
    Batch, ClassCounts, Error, Group, Reduction, SigmoidLoss, SoftmaxLoss, TargetKind, Targets, Upstream,
    reference,
};

fn counts(counts: &[u64]) -> ClassCounts {
    ClassCounts::new(counts).expect("counts")
}

fn wave(length: usize) -> Vec<f64> {
    (1..=length).map(|position| 3.0 * (position as f64 * 2.399_963).sin()).collect()
}

#[track_caller]
fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} is not {expected}");
    }
}

/// Loss and gradient per element times what `spec` divides by.
fn run(spec: &SigmoidLoss, batch: &Batch<'_, f64>) -> (f64, Vec<f64>) {
    let output = reference::sigmoid(&spec.clone().with_reduction(Reduction::Sum), batch, Upstream::One)
        .expect("legal");
    (output.loss, output.gradient)
}

#[test]
fn neutral_parameters_give_binary_cross_entropy() {
    let three = counts(&[40, 9, 1]);
    let flat = counts(&[7, 7, 7]);
    let build = |spec: longtail::Result<SigmoidLoss>| spec.expect("builds");
    let every = [0.5, 0.5, 0.5];
    let specs: Vec<(&str, SigmoidLoss, f64)> = vec![
        ("focal", build(SigmoidLoss::focal(0.5, 0.0)), 0.5),
        ("multi-label focal", SigmoidLoss::multi_label_focal(1.0, 0.0), 1.0),
        ("class-balanced, beta 0", build(SigmoidLoss::class_balanced(&three, 0.0)), 1.0),
        ("class-balanced, flat", build(SigmoidLoss::class_balanced(&flat, 0.999)), 1.0),
        ("class-balanced focal", build(SigmoidLoss::class_balanced_focal(&flat, 0.9, 0.0)), 1.0),
        ("balanced at 1/2", build(SigmoidLoss::balanced(&every)), 1.0),
        ("equalization, lambda 0", build(SigmoidLoss::equalization(&every, 0.0)), 1.0),
        ("equalization v2 without history", SigmoidLoss::equalization_v2(2), 1.0),
        ("re-balanced, beta 0", build(SigmoidLoss::rebalanced(&three, 0.5, 0.0, 0.3)), 1.0),
        ("tolerance", build(SigmoidLoss::bce().with_negative_tolerance(&three, 99, 0.0, 1.0)), 1.0),
        ("inverse prevalence, power 0", build(SigmoidLoss::inverse_prevalence(&three, 99, 0.0)), 1.0),
        ("by class", build(SigmoidLoss::effective_number(&three, 0.0, EffectiveMode::ByClass)), 1.0),
        ("mean count", build(SigmoidLoss::effective_number(&three, 0.0, EffectiveMode::AverageCount)), 1.0),
        ("mean weight", build(SigmoidLoss::effective_number(&three, 0.0, EffectiveMode::AverageWeight)), 1.0),
        ("smallest", build(SigmoidLoss::effective_number(&three, 0.0, EffectiveMode::SmallestCount)), 1.0),
        ("by column, beta 0", build(SigmoidLoss::multi_label_class_balanced(&three, 0.0)), 1.0),
        ("gates that never close", build(SigmoidLoss::multi_label_equalization(&three, 100, 0.0, 0)), 1.0),
        ("LDAM without margin", build(SigmoidLoss::multi_label_ldam(&three, 0.0, 1.0)), 1.0),
        (
            "norm by row",
            SigmoidLoss::bce().with_class_weights(vec![4.0; 3]).with_weight_norm(WeightNorm::Row),
            1.0,
        ),
    ];
    let (logits, labels, hot) =
        (wave(12), [0, 2, -100, 1], [1., 0., 1., 0., 0., 0., 0.5, 0.25, 1., 0., 1., 0.]);
    for targets in [Targets::Hard(&labels), Targets::MultiHot(&hot)] {
        let batch = Batch::new(&logits, 3, targets);
        let (loss, gradient) = run(&SigmoidLoss::bce(), &batch);
        for (name, spec, factor) in &specs {
            let (found, slopes) = run(spec, &batch);
            assert!((found - factor * loss).abs() < 1e-12, "{name}: {found}, expected {}", factor * loss);
            let expected: Vec<f64> = gradient.iter().map(|slope| factor * slope).collect();
            near(&slopes, &expected, 1e-13);
        }
    }
}

/// The softmax link with one label on two classes is twice softmax cross-entropy, since `1 - p_0 = p_1`.
#[test]
fn two_classes_on_a_softmax_are_twice_cross_entropy() {
    let batch = Batch::new(&[0.3, -1.2, 2.0, 2.5], 2, Targets::Hard(&[1, 0]));
    let mut spec = SigmoidLoss::bce();
    spec.link = Link::Softmax;
    let softmax = SoftmaxLoss::cross_entropy().with_reduction(Reduction::Sum);
    let expected = reference::softmax(&softmax, &batch, Upstream::One).expect("legal");
    let (loss, gradient) = run(&spec, &batch);
    near(&[loss], &[2.0 * expected.loss], 1e-14);
    near(&gradient, &expected.gradient.iter().map(|slope| 2.0 * slope).collect::<Vec<_>>(), 1e-14);
}

#[test]
fn numbers_by_hand() {
    // beta 1/2: weights 1, 2/3, 4/7 for counts 1, 2, 3, not normalised.
    let by_class =
        SigmoidLoss::effective_number(&counts(&[1, 2, 3]), 0.5, EffectiveMode::ByClass).expect("builds");
    near(&by_class.class_weights.expect("weights"), &[1.0, 2.0 / 3.0, 4.0 / 7.0], 1e-15);
    // Normalised to sum 3: times 3 / (47/21) = 63/47.
    let row = SigmoidLoss::class_balanced(&counts(&[1, 2, 3]), 0.5).expect("builds").row_weight;
    let Some(RowWeight::Mean(weights)) = row else { panic!("{row:?}") };
    near(&weights, &[63.0 / 47.0, 42.0 / 47.0, 36.0 / 47.0], 1e-14);
    // (n / n_j)^power for 16 samples.
    let root = SigmoidLoss::inverse_prevalence(&counts(&[4, 1]), 16, 0.5).expect("builds");
    assert_eq!(root.class_weights, Some(vec![2.0, 4.0]));
    // -0.3 log(8 / 2 - 1) / 2 and log 7.
    let tolerant = SigmoidLoss::bce().with_negative_tolerance(&counts(&[2, 1]), 8, 0.3, 2.0).expect("builds");
    near(&tolerant.bias.expect("bias"), &[-0.15 * 3f64.ln(), -0.15 * 7f64.ln()], 1e-15);
    assert_eq!(tolerant.negative_scale, 2.0);
    // -log((1 - f) / f).
    let balanced = SigmoidLoss::balanced(&[0.25, 0.5, 0.0]).expect("builds");
    near(&balanced.bias.as_ref().expect("bias")[..2], &[-(3f64.ln()), 0.0], 1e-15);
    assert_eq!(balanced.bias.expect("bias")[2], f64::NEG_INFINITY);
    // Below the threshold, not at it; the multi-label form counts samples and includes the threshold.
    let equalization = SigmoidLoss::equalization(&[0.1, 0.09, 0.11], 0.1).expect("builds");
    assert_eq!(equalization.gate.expect("gate").tail, [false, true, false]);
    let equalization =
        SigmoidLoss::multi_label_equalization(&counts(&[101, 100, 3]), 100, 0.5, 0).expect("builds");
    assert_eq!(equalization.gate.expect("gate").tail, [false, true, true]);
    // 30 * 1/2 (1 / 16)^(1/4) = 7.5, 15.
    let ldam = SigmoidLoss::multi_label_ldam(&counts(&[16, 1]), 0.5, 30.0).expect("builds");
    near(&ldam.margin.expect("margin").columns, &[7.5, 15.0], 1e-14);
    // log(1/99): the focal paper's start.
    near(&[prior_bias(0.01).expect("legal")], &[-(99f64.ln())], 1e-14);
    let acsl = SigmoidLoss::adaptive_suppression(&[Group::Few, Group::Many], 3);
    assert_eq!((acsl.columns(2), acsl.background), (3, Some(Background::Column(0))));
}

#[test]
fn denominators_are_the_authors() {
    let three = counts(&[40, 9, 1]);
    let build = |spec: longtail::Result<SigmoidLoss>| spec.expect("builds").reduction;
    assert_eq!(SigmoidLoss::bce().reduction, Reduction::Elements);
    assert_eq!(build(SigmoidLoss::class_balanced(&three, 0.9)), Reduction::Positives);
    assert_eq!(build(SigmoidLoss::class_balanced_port(&three, 0.9)), Reduction::Elements);
    assert_eq!(build(SigmoidLoss::class_balanced_focal(&three, 0.9, 1.0)), Reduction::Positives);
    assert_eq!(build(SigmoidLoss::class_balanced_on_softmax(&three, 0.9)), Reduction::Elements);
    assert_eq!(build(SigmoidLoss::equalization(&[0.1], 0.1)), Reduction::Mean);
    assert_eq!(SigmoidLoss::equalization_v2(3).reduction, Reduction::Mean);
    assert_eq!(SigmoidLoss::adaptive_suppression(&[Group::Few], 0).reduction, Reduction::Mean);
    assert_eq!(build(SigmoidLoss::distribution_balanced(&three, 99)), Reduction::Elements);
}

/// The original and the port differ by K alone.
#[test]
fn the_port_is_k_times_smaller() {
    let three = counts(&[40, 9, 1]);
    let logits = wave(6);
    let batch = Batch::new(&logits, 3, Targets::Hard(&[2, 0]));
    let loss = |spec: &SigmoidLoss| reference::sigmoid(spec, &batch, Upstream::One).expect("legal").loss;
    let original = loss(&SigmoidLoss::class_balanced(&three, 0.99).expect("builds"));
    let port = loss(&SigmoidLoss::class_balanced_port(&three, 0.99).expect("builds"));
    near(&[original], &[3.0 * port], 1e-14);
}

/// Three steps of equalization v2 against a plain loop over its definition.
#[test]
fn gradient_sums_after_several_steps() {
    let mut spec = SigmoidLoss::equalization_v2(2);
    let (mut positive, mut negative) = ([0f64; 2], [0f64; 2]);
    for step in 0..3 {
        let logits: Vec<f64> = wave(9 + step).split_off(step);
        let labels = [step as i32 % 2, 2, 1];
        let batch = Batch::new(&logits, 3, Targets::Hard(&labels));
        let output = reference::sigmoid(&spec, &batch, Upstream::One).expect("legal");
        let mut added = ([0f64; 2], [0f64; 2]);
        for (row, &label) in labels.iter().enumerate() {
            for class in 0..2 {
                let s = 1.0 / (1.0 + (-logits[3 * row + class]).exp());
                let g = positive[class] / (negative[class] + 1e-10);
                let q = if step == 0 { 1.0 } else { 1.0 / (1.0 + (-12.0 * (g - 0.8)).exp()) };
                match label == class as i32 {
                    true => added.0[class] += (1.0 - s) * (1.0 + 4.0 * (1.0 - q)),
                    false => added.1[class] += s * q,
                }
            }
        }
        for class in 0..2 {
            positive[class] += added.0[class];
            negative[class] += added.1[class];
        }
        spec.add_gradients(&output.gradient_sums.expect("sums")).expect("same classes");
        let sums = &spec.gradient_balance.as_ref().expect("balance").sums;
        near(&sums.positive[..2], &positive, 1e-13);
        near(&sums.negative[..2], &negative, 1e-13);
        assert_eq!((sums.positive[2], sums.negative[2]), (0.0, 0.0), "background is not accumulated");
    }
}

/// Two replicas' parts of a batch add up to the whole's.
#[test]
fn replicas_merge() {
    let mut spec = SigmoidLoss::equalization_v2(3);
    let balance = spec.gradient_balance.as_mut().expect("balance");
    balance.sums.positive = vec![3.0, 0.4, 0.0, 0.0];
    balance.sums.negative = vec![2.0, 0.9, 5.0, 0.0];
    let (logits, labels) = (wave(24), [0, 3, 1, 2, 3, 0]);
    let part = |rows: std::ops::Range<usize>| {
        let logits = &logits[4 * rows.start..4 * rows.end];
        let batch = Batch::new(logits, 4, Targets::Hard(&labels[rows]));
        reference::sigmoid(&spec, &batch, Upstream::One).expect("legal").gradient_sums.expect("sums")
    };
    let whole = part(0..6);
    let mut merged = part(0..2);
    merged.add(&part(2..6)).expect("same classes");
    near(&merged.positive, &whole.positive, 1e-14);
    near(&merged.negative, &whole.negative, 1e-14);
    assert!(merged.add(&GradientSums::new(3)).is_err());
    assert_eq!(
        SigmoidLoss::bce().add_gradients(&whole),
        Err(Error::Missing { what: "gradient balance", needed_by: "adding gradient sums" })
    );
}

#[test]
fn suppressed_rows_are_as_many_as_the_code_draws() {
    let groups = [Group::Few, Group::Medium, Group::Many];
    // 230 background rows among 240: 2 rare (1 % of 230 is 2.3), 23 common, all frequent.
    let labels: Vec<i32> = (0..240).map(|row| i32::from(row % 24 == 5)).collect();
    let logits = vec![0.0; 4 * 240];
    let batch = Batch::new(&logits, 4, Targets::Hard(&labels));
    let rows = |step: u64, column: usize| -> Vec<usize> {
        let spec = SigmoidLoss::adaptive_suppression(&groups, 11).with_step(step);
        let weights = reference::sigmoid_weights(&spec, &batch).expect("legal");
        (0..240).filter(|row| labels[*row] == 0 && weights[4 * row + column] == 1.0).collect()
    };
    assert_eq!([0, 1, 2, 3].map(|column| rows(0, column).len()), [230, 2, 23, 230]);
    assert_eq!(rows(7, 2), rows(7, 2), "the same draws again");
    assert_ne!(rows(7, 2), rows(8, 2), "other draws in the next step");
    // Rare and common classes draw their own rows: one of 10 would be within the other by chance.
    let within = |step: u64| rows(step, 1).iter().all(|row| rows(step, 2).contains(row));
    assert!((0..10).filter(|step| within(*step)).count() < 5);
}

#[test]
fn the_table_names_its_terms() {
    let counts = counts(&[5000, 120, 13, 1]);
    for method in SIGMOID {
        let loss = (method.build)(&counts).unwrap_or_else(|error| panic!("{}: {error}", method.name));
        let set = [
            ("softmax link", loss.link != Link::Sigmoid),
            ("scale", loss.scale != 1.0),
            ("bias", loss.bias.is_some()),
            ("margin", loss.margin.is_some()),
            ("negative scale", loss.negative_scale != 1.0),
            ("positive weight", loss.positive_weight.is_some()),
            ("weights", loss.class_weights.is_some()),
            ("row weights", loss.row_weight.is_some()),
            ("re-balancing", loss.rebalance.is_some()),
            ("weight norm", loss.weight_norm != WeightNorm::None),
            ("factors", loss.positive_factor != 1.0 || loss.negative_factor != 1.0),
            ("gradient balance", loss.gradient_balance.is_some()),
            ("gates", loss.gate.is_some()),
            ("suppression", loss.suppression.is_some()),
            ("focal", loss.focal.is_some()),
            ("background", loss.background.is_some()),
        ];
        let expected: BTreeSet<&str> =
            set.into_iter().filter_map(|(name, set)| set.then_some(name)).collect();
        let found: BTreeSet<&str> = method.terms.split(", ").filter(|&term| term != "none").collect();
        assert_eq!(found, expected, "{}", method.name);
    }
}

#[test]
fn every_row_of_the_table_builds_and_checks() {
    for counts in [vec![5000, 120, 13, 1], vec![8, 8, 8], vec![3]] {
        let counts = ClassCounts::new(counts).expect("counts");
        for method in SIGMOID {
            let loss = (method.build)(&counts).unwrap_or_else(|error| panic!("{}: {error}", method.name));
            loss.check(loss.columns(counts.classes()), method.targets)
                .unwrap_or_else(|error| panic!("{}: {error}", method.name));
        }
    }
    let counts = counts(&[9, 0, 2]);
    let mut refused = 0;
    for method in SIGMOID {
        match (method.build)(&counts) {
            Ok(loss) => loss.check(loss.columns(3), method.targets).expect("checks"),
            Err(Error::Statistics { class: Some(1), .. }) => refused += 1,
            Err(error) => panic!("{}: {error}", method.name),
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn bad_parameters_are_refused_by_name() {
    let two = counts(&[9, 2]);
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        let cases = [
            ("focal alpha", SigmoidLoss::focal(bad, 2.0)),
            ("beta", SigmoidLoss::class_balanced(&two, bad)),
            ("focal gamma", SigmoidLoss::class_balanced_focal(&two, 0.9, bad)),
            ("a frequency", SigmoidLoss::balanced(&[0.5, bad])),
            ("lambda", SigmoidLoss::equalization(&[0.5], bad)),
            ("a frequency", SigmoidLoss::equalization(&[bad], 0.1)),
            ("drop_probability", SigmoidLoss::multi_label_equalization(&two, 5, bad, 0)),
            ("max_margin", SigmoidLoss::multi_label_ldam(&two, bad, 30.0)),
            ("scale", SigmoidLoss::multi_label_ldam(&two, 0.5, bad)),
            ("the power of inverse prevalence", SigmoidLoss::inverse_prevalence(&two, 9, bad)),
            ("negative_scale", SigmoidLoss::bce().with_negative_tolerance(&two, 99, 0.1, bad)),
            ("beta", SigmoidLoss::effective_number(&two, bad, EffectiveMode::ByClass)),
        ];
        for (expected, result) in cases {
            match result {
                Err(Error::Parameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected} {bad}: {other:?}"),
            }
        }
    }
    for bad in [f64::NAN, 0.0, 1.0] {
        assert!(matches!(prior_bias(bad), Err(Error::Parameter { .. })));
    }
    assert!(matches!(SigmoidLoss::balanced(&[1.0]), Err(Error::Parameter { .. })), "every image");
    let all = SigmoidLoss::distribution_balanced(&two, 9);
    assert!(matches!(all, Err(Error::Statistics { class: Some(0), .. })), "{all:?}");
}

/// What `check` refuses: a change of a legal spec of 3 columns, and the error's kind with its name.
#[test]
fn specs_without_a_meaning() {
    let change = |change: &dyn Fn(&mut SigmoidLoss)| {
        let mut spec = SigmoidLoss::bce();
        change(&mut spec);
        spec
    };
    let balance = |sums: GradientSums| Some(GradientBalance { sums, gamma: 12.0, mu: 0.8, alpha: 4.0 });
    let acsl = || SigmoidLoss::adaptive_suppression(&[Group::Few, Group::Many], 0);
    let parameters: Vec<(&str, SigmoidLoss)> = vec![
        ("scale", change(&|spec| spec.scale = 0.0)),
        ("negative_scale", change(&|spec| spec.negative_scale = -1.0)),
        ("positive_factor", change(&|spec| spec.positive_factor = f64::NAN)),
        ("negative_factor", change(&|spec| spec.negative_factor = -0.1)),
        ("focal gamma", SigmoidLoss::bce().with_focal(Focal::new(-1.0))),
        ("bias", SigmoidLoss::bce().with_bias(vec![0.0, f64::INFINITY, 0.0])),
        ("class_weights", SigmoidLoss::bce().with_class_weights(vec![1.0, -1.0, 0.0])),
        ("positive_weight", SigmoidLoss::bce().with_positive_weight(vec![1.0, f64::INFINITY, 0.0])),
        ("margin", change(&|spec| spec.margin = Some(Margin { columns: vec![f64::NAN; 3], summed: true }))),
        (
            "beta",
            change(&|spec| {
                spec.row_weight = Some(RowWeight::EffectiveOfMean { counts: vec![1; 3], beta: 1.0 });
            }),
        ),
        (
            "absent",
            change(&|spec| {
                spec.row_weight =
                    Some(RowWeight::EffectiveOfMin { counts: vec![1; 3], beta: 0.5, absent: 0.0 });
            }),
        ),
        (
            "rebalance alpha",
            change(&|spec| {
                spec.rebalance = Some(Rebalance { counts: vec![1; 3], alpha: -0.1, beta: 1.0, gamma: 0.0 });
            }),
        ),
        (
            "positive gradient sums",
            change(&|spec| {
                spec.gradient_balance =
                    balance(GradientSums { positive: vec![-1.0; 3], negative: vec![0.0; 3] });
            }),
        ),
        ("the score threshold", {
            let mut spec = acsl();
            spec.suppression.as_mut().expect("term").threshold = 1.0;
            spec
        }),
        ("the rare classes' share", {
            let mut spec = acsl();
            spec.suppression.as_mut().expect("term").rare = 1.5;
            spec
        }),
        ("the background column", SigmoidLoss::bce().with_background(Some(Background::Column(3)))),
        ("the background label", SigmoidLoss::bce().with_background(Some(Background::Label(2)))),
        ("the fixed denominator", SigmoidLoss::bce().with_reduction(Reduction::Fixed(0.0))),
    ];
    for (expected, spec) in parameters {
        match spec.check(3, TargetKind::Hard) {
            Err(Error::Parameter { name, .. }) => assert_eq!(name, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let lengths: Vec<SigmoidLoss> = vec![
        SigmoidLoss::bce().with_bias(vec![0.0]),
        SigmoidLoss::bce().with_class_weights(vec![1.0; 4]),
        SigmoidLoss::bce().with_row_weight(RowWeight::Mean(vec![1.0; 2])),
        change(&|spec| {
            spec.rebalance = Some(Rebalance { counts: vec![1], alpha: 0.0, beta: 1.0, gamma: 0.0 });
        }),
        change(&|spec| spec.gradient_balance = balance(GradientSums::new(2))),
        SigmoidLoss::equalization(&[0.1, 0.2], 0.1).expect("builds").with_background(None),
        SigmoidLoss::adaptive_suppression(&[Group::Few], 0),
    ];
    for spec in lengths {
        let found = spec.check(3, TargetKind::Hard);
        assert!(matches!(found, Err(Error::Length { .. })), "{found:?}");
    }
    let empty = change(&|spec| {
        spec.rebalance = Some(Rebalance { counts: vec![1, 0, 1], alpha: 0.0, beta: 1.0, gamma: 0.0 });
    });
    assert!(matches!(empty.check(3, TargetKind::Hard), Err(Error::Statistics { class: Some(1), .. })));
    let inside = Focal { gamma: 1.0, detached: false, weight_inside: true };
    let softmax = |change: &dyn Fn(&mut SigmoidLoss)| {
        let mut spec = SigmoidLoss::default();
        spec.link = Link::Softmax;
        change(&mut spec);
        spec
    };
    let mut twice = acsl().with_given_weights(true);
    twice.suppression.as_mut().expect("term").source = DrawSource::Given;
    let combinations: Vec<(&str, SigmoidLoss)> = vec![
        ("focal", SigmoidLoss::bce().with_focal(inside)),
        ("focal", softmax(&|spec| spec.focal = Some(Focal::new(1.0)))),
        ("positive_weight", softmax(&|spec| spec.positive_weight = Some(vec![1.0; 3]))),
        ("negative_scale", softmax(&|spec| spec.negative_scale = 2.0)),
        ("gradient balance", softmax(&|spec| spec.gradient_balance = balance(GradientSums::new(3)))),
        ("the weighted mean", SigmoidLoss::bce().with_reduction(Reduction::WeightedMean)),
        ("two terms with source `Given`", twice),
        ("the background label", SigmoidLoss::bce().with_background(Some(Background::Label(-100)))),
        (
            "class weights with re-balancing",
            change(&|spec| {
                spec.rebalance = Some(Rebalance { counts: vec![1; 3], alpha: 0.0, beta: 1.0, gamma: 0.0 });
                spec.class_weights = Some(vec![1.0; 3]);
                spec.weight_norm = WeightNorm::Row;
            }),
        ),
    ];
    for (expected, spec) in combinations {
        match spec.check(3, TargetKind::Hard) {
            Err(Error::Combination { first, .. }) => assert_eq!(first, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let loose = acsl().with_background(None).check(3, TargetKind::Hard);
    assert!(matches!(loose, Err(Error::Missing { what: "a background column", .. })), "{loose:?}");
    assert!(matches!(acsl().check(3, TargetKind::MultiHot), Err(Error::Combination { .. })));
    for kind in [TargetKind::Mixed, TargetKind::Soft] {
        assert!(matches!(SigmoidLoss::bce().check(3, kind), Err(Error::Combination { .. })));
    }
    assert!(matches!(SigmoidLoss::bce().check(0, TargetKind::Hard), Err(Error::Parameter { .. })));
    // The softmax family refuses what is not its own.
    let multi_hot = SoftmaxLoss::cross_entropy().check(3, TargetKind::MultiHot);
    assert!(matches!(multi_hot, Err(Error::Combination { first: "multi-hot targets", .. })));
    for reduction in [Reduction::Elements, Reduction::Positives] {
        let refused = SoftmaxLoss::cross_entropy().with_reduction(reduction).check(3, TargetKind::Hard);
        assert!(matches!(refused, Err(Error::Combination { .. })));
    }
}

#[test]
fn batches_that_do_not_fit() {
    let check = |spec: &SigmoidLoss, batch: &Batch<'_, f64>| {
        reference::sigmoid(spec, batch, Upstream::One).expect_err("does not fit")
    };
    let bce = SigmoidLoss::bce();
    let error = check(&bce, &Batch::new(&[0.0; 5], 2, Targets::Hard(&[0, 1, 0])));
    assert_eq!(error, Error::Length { what: "logits", expected: 6, found: 5 });
    let error = check(&bce, &Batch::new(&[0.0; 4], 2, Targets::MultiHot(&[0.0; 3])));
    assert!(matches!(error, Error::Length { .. }), "{error:?}");
    for bad in [1.5, -0.5, f32::NAN] {
        let error = check(&bce, &Batch::new(&[0.0; 2], 2, Targets::MultiHot(&[0.0, bad])));
        assert!(matches!(error, Error::Parameter { name: "a multi-hot target", .. }), "{error:?}");
    }
    // K is a label with background rows only.
    let labels = [1, 2, 7, -1];
    let error = check(&bce, &Batch::new(&[0.0; 8], 2, Targets::Hard(&labels)));
    assert_eq!(error, Error::Label { row: 1, label: Some(2), classes: 2, rows: 3 });
    let boxes = bce.clone().with_background(Some(Background::Label(2)));
    let error = check(&boxes, &Batch::new(&[0.0; 8], 2, Targets::Hard(&labels)));
    assert_eq!(error, Error::Label { row: 2, label: Some(7), classes: 2, rows: 2 });
    let batch = Batch::new(&[0.0; 2], 2, Targets::Hard(&[0]));
    let error = check(&bce, &batch.with_feature_norms(&[1.0]));
    assert!(matches!(error, Error::Unexpected { what: "feature norms", .. }));
    let error = check(&bce, &batch.with_gates(&[1.0, 1.0]));
    assert!(matches!(error, Error::Unexpected { what: "gates", .. }));
    let error = check(&bce, &batch.with_row_weights(&[-1.0]));
    assert!(matches!(error, Error::Parameter { name: "a row weight", .. }));
    let given = bce.clone().with_given_weights(true);
    assert!(matches!(check(&given, &batch), Error::Missing { what: "gates", .. }));
    let error = check(&given, &batch.with_gates(&[1.0, -1.0]));
    assert!(matches!(error, Error::Parameter { name: "a given weight", .. }));
    let mut gated = SigmoidLoss::equalization(&[0.1, 0.2], 0.3).expect("builds");
    gated.gate.as_mut().expect("gate").source = GateSource::Given;
    assert!(matches!(check(&gated, &batch.with_gates(&[1.0])), Error::Length { what: "gates", .. }));
    // NaN and +inf are named, in ignored rows too.
    for bad in [f64::NAN, f64::INFINITY] {
        let logits = [0.0, 0.0, bad, 0.0, 0.0, bad];
        let error = check(&bce, &Batch::new(&logits, 2, Targets::Hard(&[0, -100, 1])));
        assert_eq!(error, Error::NonFinite { what: "logits", row: 1, rows: 2 });
    }
}
