//! The constructors: each gives the authors' loss on their own data, neutral parameters give cross-entropy,
//! and what cannot be built is refused by name.
//!
//! The loss is computed here from the spec's fields by the formula in its documentation, in the plainest
//! way, so that a constructor is checked without the crate's own evaluation.

#[path = "support/golden.rs"]
mod golden;

use std::collections::BTreeSet;

use golden::Golden;
use longtail::softmax::mixing::{remix_lambda, unimix_lambda};
use longtail::softmax::{GateSource, SmoothingShape};
use longtail::{ClassCounts, Error, Normalisation, Reduction, SoftmaxLoss, TargetKind, method};

fn lse(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + values.iter().map(|value| (value - max).exp()).sum::<f64>().ln()
}

/// `(w_y, L_n)` of one row for one label.
fn row(loss: &SoftmaxLoss, z: &[f64], y: usize, counts: &[f64], gates: Option<&[f64]>, h: f64) -> (f64, f64) {
    let at =
        |column: &Option<Vec<f64>>, class: usize, absent: f64| column.as_ref().map_or(absent, |c| c[class]);
    let weight = |class| at(&loss.class_weights, class, 1.0);
    let v: Vec<f64> = (0..z.len())
        .map(|j| loss.scale * at(&loss.class_scale, j, 1.0) * z[j] + at(&loss.bias, j, 0.0))
        .collect();
    let mut u = v.clone();
    u[y] -= at(&loss.margin, y, 0.0);
    for j in (0..z.len()).filter(|&j| j != y) {
        if let Some(seesaw) = &loss.seesaw {
            let probability = |class: usize| (v[class] - lse(&v)).exp();
            let ratio = probability(j) / probability(y).max(seesaw.eps);
            u[j] += seesaw.p * (counts[j] / counts[y]).min(1.0).ln() + seesaw.q * ratio.max(1.0).ln();
        }
        if gates.is_some_and(|gates| gates[j] == 0.0) {
            u[j] = f64::NEG_INFINITY;
        }
    }
    let l = lse(&u) - u[y];
    let mut main = weight(y) * l;
    if let Some(focal) = &loss.focal {
        let inner = if focal.weight_inside { weight(y) * l } else { l };
        main *= (1.0 - (-inner).exp()).powf(focal.gamma);
    }
    if let Some(influence) = &loss.influence {
        main *= influence.alpha / (2.0 * (1.0 - (-l).exp()) * h + influence.eps);
    }
    let e = at(&loss.class_smoothing, y, loss.label_smoothing);
    let mut total = (1.0 - e) * main;
    if e > 0.0 {
        total += e / z.len() as f64 * (0..z.len()).map(|j| weight(j) * (lse(&u) - u[j])).sum::<f64>();
    }
    (weight(y), total)
}

/// The scalar loss of `loss` on the file's data.
fn evaluate(loss: &SoftmaxLoss, file: &Golden) -> f64 {
    let logits = file.floats("logits");
    let first = file.integers("labels").or_else(|| file.integers("labels_a"));
    let soft = first.is_none().then(|| file.floats("targets"));
    let second = file.integers("labels_b");
    let rows = first.as_ref().map_or_else(|| file.floats("loss_per_sample").len(), Vec::len);
    let classes = logits.len() / rows;
    let optional = |present: bool, name: &str| present.then(|| file.floats(name));
    let gates = optional(loss.gate.is_some(), "gate_keep");
    let norms = optional(loss.influence.is_some(), "feature_l1");
    let counts = loss.seesaw.as_ref().map_or(Vec::new(), |seesaw| match seesaw.count_batch {
        true => file.floats("cum_samples_used"),
        false => seesaw.counts.iter().map(|&count| count as f64).collect(),
    });
    let share = second.is_some().then(|| shares(file, rows));
    let (mut numerator, mut weights, mut kept) = (0.0, 0.0, 0.0);
    for n in 0..rows {
        let span = n * classes..(n + 1) * classes;
        let z = &logits[span.clone()];
        let one = |label: i32| {
            let gates = gates.as_ref().map(|gates| &gates[span.clone()]);
            row(loss, z, label as usize, &counts, gates, norms.as_ref().map_or(0.0, |norms| norms[n]))
        };
        let (weight, value) = match (&first, &second, &soft) {
            (Some(first), _, _) if Some(first[n]) == loss.ignore_index => continue,
            (Some(first), Some(second), _) => {
                let ((wa, a), (wb, b)) = (one(first[n]), one(second[n]));
                let share = share.as_ref().unwrap()[n];
                (share * wa + (1.0 - share) * wb, share * a + (1.0 - share) * b)
            }
            (Some(first), ..) => one(first[n]),
            (None, _, Some(soft)) => {
                let value = |j: usize| soft[n * classes + j] * row(loss, z, j, &[], None, 0.0).1;
                (1.0, (0..classes).map(value).sum())
            }
            _ => unreachable!("a file has labels or soft targets"),
        };
        numerator += value;
        weights += weight;
        kept += 1.0;
    }
    match loss.reduction {
        Reduction::Mean => numerator / rows as f64,
        Reduction::MeanKept => numerator / kept,
        Reduction::WeightedMean => numerator / weights,
        other => panic!("no golden file has {other:?}"),
    }
}

/// The first label's share by row: computed from the counts where the method does.
fn shares(file: &Golden, rows: usize) -> Vec<f64> {
    let pairs = || {
        let (a, b) = (file.integers("labels_a").unwrap(), file.integers("labels_b").unwrap());
        let counts = file.counts();
        let count = move |label: i32| counts.counts()[label as usize];
        a.into_iter().zip(b).map(move |(a, b)| (count(a), count(b))).collect::<Vec<_>>()
    };
    match file.text("method").as_str() {
        "mixup" => vec![file.number("lam"); rows],
        "bbn_mix" => vec![file.number("l"); rows],
        "remix" => {
            let (kappa, tau, lambda) = (file.number("k_majority"), file.number("tau"), file.number("lam_x"));
            pairs().iter().map(|&(a, b)| remix_lambda(lambda, a, b, kappa, tau).unwrap()).collect()
        }
        "unimix_bayias" => {
            let draws = file.floats("beta_draws");
            pairs().iter().zip(draws).map(|(&(a, b), draw)| unimix_lambda(draw, a, b).unwrap()).collect()
        }
        other => panic!("{other} has no two labels"),
    }
}

/// The spec of each golden case, from constructors and `with_` methods.
fn spec(case: &str, file: &Golden) -> longtail::Result<SoftmaxLoss> {
    let weights = || file.floats("class_weights");
    let counts = || file.counts();
    let number = |key| file.number(key);
    let smoothed = |loss: SoftmaxLoss| loss.with_label_smoothing(number("label_smoothing"));
    Ok(match case.trim_end_matches("_k10") {
        "cross_entropy_" | "mixup__k10_lam0.3" | "soft_label_ce_" | "bbn_mix_" => {
            SoftmaxLoss::cross_entropy()
        }
        "cross_entropy__smooth" => smoothed(SoftmaxLoss::cross_entropy()),
        "cross_entropy__weight" | "soft_label_ce__weight" => SoftmaxLoss::weighted(weights()),
        "cross_entropy__weight_smooth" => smoothed(SoftmaxLoss::weighted(weights())),
        "cross_entropy__ignore" => smoothed(SoftmaxLoss::weighted(weights())).with_ignore_index(Some(-100)),
        "remix__k10_lam0.3" => SoftmaxLoss::cross_entropy().with_reduction(Reduction::Mean),
        "remix__drw_k10_lam0.3" => SoftmaxLoss::class_balanced_mean(&counts(), number("drw_beta"))?,
        "unimix_bayias_" => SoftmaxLoss::bayias(&counts(), None)?,
        "weighted_softmax__inv" => SoftmaxLoss::weighted_inverse(&counts())?,
        "weighted_softmax__inv_meanN" => {
            SoftmaxLoss::weighted_inverse(&counts())?.with_reduction(Reduction::Mean)
        }
        "weighted_softmax__neglog" => SoftmaxLoss::weighted_neg_log(&counts())?,
        "weighted_softmax__csce" => SoftmaxLoss::weighted_cost_sensitive(&counts(), number("gamma"))?,
        "class_balanced__softmax_ce" => SoftmaxLoss::class_balanced(&counts(), number("beta"))?,
        "class_balanced__softmax_ce_meanN" => SoftmaxLoss::class_balanced_mean(&counts(), number("beta"))?,
        "focal_softmax__g1" | "focal_softmax__g2" => SoftmaxLoss::focal(number("gamma")),
        "focal_softmax__detached" => SoftmaxLoss::focal_detached(number("gamma")),
        "focal_softmax__weighted" => {
            SoftmaxLoss::focal_weighted(counts().effective_weights(number("beta"))?, number("gamma"))
        }
        "balanced_softmax_" => SoftmaxLoss::balanced(&counts()),
        "logit_adjustment_" | "logit_adjustment__tau1.5" => {
            SoftmaxLoss::logit_adjusted(&counts(), number("tau"))?
        }
        "prior_ce_" => SoftmaxLoss::prior_ce(&counts()),
        "sade_inverse_softmax_" => SoftmaxLoss::inverse_softmax(&counts(), number("tau"))?,
        "ldam_" => SoftmaxLoss::ldam(&counts(), number("max_m"), number("s"))?,
        "ldam__drw" => SoftmaxLoss::ldam(&counts(), number("max_m"), number("s"))?
            .with_deferred_reweighting(&counts(), number("beta"))?,
        "ldam_prescaled_" => SoftmaxLoss::ldam_prescaled(&counts(), number("max_m"), number("s"))?,
        "ldam_allclass_survey_" => SoftmaxLoss::ldam_all_classes(&counts(), number("max_m"), number("s"))?,
        "vs_loss_" => SoftmaxLoss::vector_scaling(&counts(), number("gamma"), number("tau"))?,
        "cdt_" => SoftmaxLoss::class_dependent_temperature(&counts(), number("gamma"))?,
        "lws_" => SoftmaxLoss::learnable_scaling(file.floats("scales")),
        "eql_softmax_" | "eql_softmax_survey_" => SoftmaxLoss::equalization_given(),
        "eql_softmax_gates__gate_class" | "eql_softmax_gates__gate_sample" => {
            SoftmaxLoss::equalization_given()
        }
        "seesaw_" | "seesaw__p_only" | "seesaw__q_only" => {
            SoftmaxLoss::seesaw_with(&counts(), number("p"), number("q"), number("eps"))
        }
        "seesaw__paper_noeps" => SoftmaxLoss::seesaw_paper(&counts()),
        "label_aware_smoothing_" => SoftmaxLoss::label_aware_smoothing(
            &counts(),
            number("smooth_head"),
            number("smooth_tail"),
            SmoothingShape::Concave,
        )?,
        "influence_balanced_" => SoftmaxLoss::influence_balanced(&counts(), number("alpha"))?,
        "influence_balanced__focal" => {
            SoftmaxLoss::influence_balanced_focal(&counts(), number("alpha"), number("gamma"))?
        }
        other => panic!("no constructor for {other}"),
    })
}

/// Whether a file belongs to the softmax family; the class-balanced loss has forms of two families.
fn is_softmax(file: &Golden) -> bool {
    let name = file.text("method");
    let in_table = method::SOFTMAX.iter().any(|method| method.golden.contains(&name.as_str()));
    in_table && (name != "class_balanced" || file.text("variant").starts_with("CB softmax CE"))
}

#[test]
fn constructors_give_the_authors_losses() {
    let mut cases = 0;
    // The cases of 1203 classes repeat these; `golden.rs` has them all.
    for name in Golden::names().into_iter().filter(|name| !name.contains("k1203")) {
        let file = Golden::open(&name);
        if !is_softmax(&file) {
            continue;
        }
        let loss = spec(&name, &file).unwrap();
        let (found, expected) = (evaluate(&loss, &file), file.loss());
        assert!(
            (found - expected).abs() <= 1e-6 * expected,
            "{name}: found {found}, the authors' {expected}"
        );
        cases += 1;
    }
    assert_eq!(cases, 45);
}

#[test]
fn mixing_shares_are_the_authors() {
    for (name, stored) in
        [("remix__k10_lam0.3", "lam_y"), ("remix__drw_k10_lam0.3", "lam_y"), ("unimix_bayias__k10", "lam")]
    {
        let file = Golden::open(name);
        let expected = file.floats(stored);
        let found = shares(&file, expected.len());
        for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() <= 1e-6, "{name} row {row}: {found}, the authors' {expected}");
        }
    }
}

#[test]
fn remix_by_hand() {
    let remix = |lambda, a, b| remix_lambda(lambda, a, b, 3.0, 0.5).unwrap();
    // Exactly at kappa counts as majority; exactly at tau does not count as less.
    assert_eq!(remix(0.4, 30, 10), 0.0);
    assert_eq!(remix(0.5, 30, 10), 0.5);
    assert_eq!(remix(0.4, 29, 10), 0.4);
    assert_eq!(remix(0.6, 10, 30), 1.0);
    assert_eq!(remix(0.5, 10, 30), 0.5);
    assert_eq!(remix(0.6, 10, 29), 0.6);
    assert_eq!(remix(0.4, 1, 0), 0.0);
    for (lambda, kappa, tau) in [(1.1, 3.0, 0.5), (f64::NAN, 3.0, 0.5), (0.5, 0.9, 0.5), (0.5, 3.0, -0.1)] {
        assert!(matches!(remix_lambda(lambda, 1, 1, kappa, tau), Err(Error::Parameter { .. })));
    }
    assert!(matches!(remix_lambda(0.5, 0, 0, 3.0, 0.5), Err(Error::Parameter { .. })));
}

#[test]
fn unimix_by_hand() {
    // 1/4 + 3/4 = 1 stays; 1/2 + 3/4 wraps to 1/4.
    assert_eq!(unimix_lambda(0.25, 1, 3).unwrap(), 1.0);
    assert_eq!(unimix_lambda(0.5, 1, 3).unwrap(), 0.25);
    assert_eq!(unimix_lambda(0.125, 3, 1).unwrap(), 0.375);
    assert!(matches!(unimix_lambda(1.5, 1, 1), Err(Error::Parameter { .. })));
    assert!(matches!(unimix_lambda(0.5, 0, 0), Err(Error::Parameter { .. })));
}

#[test]
fn smoothing_shapes_by_hand() {
    // x = 0, 1/3, 1 for counts 10, 40, 100; sin 30 degrees = 1/2, cos 30 degrees = sqrt(3) / 2.
    let counts = ClassCounts::new([10, 40, 100]).unwrap();
    let at = |shape| {
        SoftmaxLoss::label_aware_smoothing(&counts, 0.4, 0.1, shape).unwrap().class_smoothing.unwrap()
    };
    let cases = [
        (SmoothingShape::Concave, 0.5),
        (SmoothingShape::Linear, 1.0 / 3.0),
        (SmoothingShape::Convex, 1.0 - 3f64.sqrt() / 2.0),
        (SmoothingShape::Power(2.0), 1.0 / 9.0),
    ];
    for (shape, middle) in cases {
        for (found, expected) in at(shape).into_iter().zip([0.1, 0.1 + 0.3 * middle, 0.4]) {
            assert!((found - expected).abs() < 1e-15, "{shape:?}: {found}, expected {expected}");
        }
    }
    let equal = ClassCounts::new([7, 7]).unwrap();
    let loss = SoftmaxLoss::label_aware_smoothing(&equal, 0.4, 0.1, SmoothingShape::Linear).unwrap();
    assert_eq!(loss.class_smoothing, Some(vec![0.1, 0.1]));
    let stored = Golden::open("label_aware_smoothing__k10");
    let loss =
        SoftmaxLoss::label_aware_smoothing(&stored.counts(), 0.3, 0.0, SmoothingShape::Concave).unwrap();
    for (found, expected) in loss.class_smoothing.unwrap().iter().zip(stored.floats("eps_per_class")) {
        assert!((found - expected).abs() < 1e-7, "{found}, the authors' {expected}");
    }
}

#[test]
fn biases_by_hand() {
    // pi = 3/4, 1/4.
    let counts = ClassCounts::new([3, 1]).unwrap();
    let bias = |loss: longtail::Result<SoftmaxLoss>| loss.unwrap().bias.unwrap();
    let near = |found: Vec<f64>, expected: [f64; 2]| {
        assert!(
            found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-8),
            "{found:?}, expected {expected:?}"
        );
    };
    near(bias(Ok(SoftmaxLoss::balanced(&counts))), [3f64.ln(), 0.0]);
    near(bias(SoftmaxLoss::logit_adjusted(&counts, 2.0)), [(9f64 / 16.0).ln(), (1f64 / 16.0).ln()]);
    near(bias(SoftmaxLoss::logit_adjusted_exact(&counts, 2.0)), [2.0 * 0.75f64.ln(), 2.0 * 0.25f64.ln()]);
    near(bias(SoftmaxLoss::bayias(&counts, None)), [1.5f64.ln(), 0.5f64.ln()]);
    near(bias(SoftmaxLoss::bayias(&counts, Some(&[0.25, 0.75]))), [3f64.ln(), -(3f64.ln())]);
    // log 3/4 - 2 log 1/4 = log 12; log 1/4 - 2 log 3/4 = log 4/9.
    near(bias(SoftmaxLoss::inverse_softmax(&counts, 2.0)), [12f64.ln(), (4f64 / 9.0).ln()]);
    // The survey's margin: -s D_j with D = 0.5 (1/3)^(1/4), 0.5.
    near(bias(SoftmaxLoss::ldam_all_classes(&counts, 0.5, 2.0)), [-(1f64 / 3.0).powf(0.25), -1.0]);
    assert_eq!(SoftmaxLoss::weighted_survey(&counts).unwrap().class_weights, Some(vec![4.0 / 3.0, 4.0]));
}

#[test]
fn an_empty_class_leaves_the_softmax_or_is_floored() {
    let counts = ClassCounts::new([4, 0]).unwrap();
    let second = |loss: SoftmaxLoss| loss.bias.unwrap()[1];
    assert_eq!(second(SoftmaxLoss::balanced(&counts)), f64::NEG_INFINITY);
    assert_eq!(second(SoftmaxLoss::logit_adjusted_exact(&counts, 1.0).unwrap()), f64::NEG_INFINITY);
    assert_eq!(second(SoftmaxLoss::bayias(&counts, None).unwrap()), f64::NEG_INFINITY);
    assert_eq!(second(SoftmaxLoss::logit_adjusted(&counts, 1.0).unwrap()), 1e-12f64.ln());
    assert_eq!(second(SoftmaxLoss::prior_ce(&counts)), 1e-9f64.ln());
    // 0 * -inf is no NaN.
    assert_eq!(SoftmaxLoss::logit_adjusted_exact(&counts, 0.0).unwrap().bias, Some(vec![0.0, 0.0]));
}

#[test]
fn neutral_parameters_add_nothing() {
    let counts = ClassCounts::new([40, 9, 1]).unwrap();
    let (zeros, ones) = (Some(vec![0.0; 3]), Some(vec![1.0; 3]));
    assert_eq!(SoftmaxLoss::logit_adjusted_exact(&counts, 0.0).unwrap().bias, zeros);
    assert_eq!(SoftmaxLoss::class_dependent_temperature(&counts, 0.0).unwrap().class_scale, ones);
    let vs = SoftmaxLoss::vector_scaling(&counts, 0.0, 0.0).unwrap();
    assert_eq!((vs.class_scale, vs.bias), (ones.clone(), zeros.clone()));
    assert_eq!(SoftmaxLoss::class_balanced(&counts, 0.0).unwrap().class_weights, ones);
    assert_eq!(SoftmaxLoss::weighted_cost_sensitive(&counts, 0.0).unwrap().class_weights, ones);
    assert_eq!(SoftmaxLoss::ldam(&counts, 0.0, 30.0).unwrap().margin, zeros);
    let gate = SoftmaxLoss::equalization(&counts, 0.0, 0.9, 1, GateSource::Element).unwrap().gate.unwrap();
    assert_eq!(gate.tail, [false; 3]);
}

#[test]
fn the_detached_forms_differ_in_the_flag_alone() {
    let counts = ClassCounts::new([40, 9, 1]).unwrap();
    let mut attached = SoftmaxLoss::influence_balanced(&counts, 1000.0).unwrap();
    assert!(!attached.influence.unwrap().detached);
    attached.influence.as_mut().unwrap().detached = true;
    assert_eq!(SoftmaxLoss::influence_balanced_detached(&counts, 1000.0).unwrap(), attached);
    let mut focal = SoftmaxLoss::focal(2.0);
    assert!(!focal.focal.unwrap().detached);
    focal.focal.as_mut().unwrap().detached = true;
    assert_eq!(SoftmaxLoss::focal_detached(2.0), focal);
}

#[test]
fn the_tail_at_the_threshold() {
    // pi = 1/4, 1/4, 1/2.
    let counts = ClassCounts::new([1, 1, 2]).unwrap();
    let below = SoftmaxLoss::equalization(&counts, 0.25, 0.9, 5, GateSource::Sample).unwrap().gate.unwrap();
    assert_eq!((below.tail, below.source, below.seed), (vec![false; 3], GateSource::Sample, 5));
    let survey = SoftmaxLoss::equalization_survey(&counts, 0.25, 0.9, 5).unwrap().gate.unwrap();
    assert_eq!((survey.tail, survey.source), (vec![true, true, false], GateSource::Element));
}

#[test]
fn bad_parameters_are_refused_by_name() {
    let counts = ClassCounts::new([4, 1]).unwrap();
    let source = GateSource::Element;
    let linear = SmoothingShape::Linear;
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        let power = SmoothingShape::Power(bad);
        let cases = [
            ("tau", SoftmaxLoss::logit_adjusted(&counts, bad)),
            ("tau", SoftmaxLoss::logit_adjusted_exact(&counts, bad)),
            ("tau", SoftmaxLoss::inverse_softmax(&counts, bad)),
            ("tau", SoftmaxLoss::vector_scaling(&counts, 0.3, bad)),
            ("gamma", SoftmaxLoss::vector_scaling(&counts, bad, 1.0)),
            ("gamma", SoftmaxLoss::class_dependent_temperature(&counts, bad)),
            ("beta", SoftmaxLoss::class_balanced(&counts, bad)),
            ("max_margin", SoftmaxLoss::ldam(&counts, bad, 30.0)),
            ("scale", SoftmaxLoss::ldam(&counts, 0.5, bad)),
            ("lambda", SoftmaxLoss::equalization(&counts, bad, 0.9, 0, source)),
            ("drop_probability", SoftmaxLoss::equalization(&counts, 0.1, bad, 0, source)),
            ("the inference prior", SoftmaxLoss::bayias(&counts, Some(&[0.5, bad]))),
            ("the head's smoothing", SoftmaxLoss::label_aware_smoothing(&counts, bad, 0.0, linear)),
            ("the tail's smoothing", SoftmaxLoss::label_aware_smoothing(&counts, 0.3, bad, linear)),
            ("the smoothing's exponent", SoftmaxLoss::label_aware_smoothing(&counts, 0.3, 0.0, power)),
            ("influence alpha", SoftmaxLoss::influence_balanced(&counts, bad)),
            ("focal gamma", SoftmaxLoss::influence_balanced_focal(&counts, 1000.0, bad)),
        ];
        for (expected, result) in cases {
            match result {
                Err(Error::Parameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected} {bad}: {other:?}"),
            }
        }
        // The infallible constructors leave it to the check.
        for loss in [SoftmaxLoss::focal(bad), SoftmaxLoss::seesaw_with(&counts, bad, 2.0, 0.01)] {
            assert!(matches!(loss.check(2, TargetKind::Hard), Err(Error::Parameter { .. })));
        }
    }
    let short = SoftmaxLoss::bayias(&counts, Some(&[1.0]));
    assert_eq!(short, Err(Error::Length { what: "the inference prior", expected: 2, found: 1 }));
}

#[test]
fn every_row_of_the_table_builds_and_checks() {
    for counts in [vec![5000, 120, 13, 1], vec![8, 8, 8], vec![3]] {
        let counts = ClassCounts::new(counts).unwrap();
        for method in method::SOFTMAX {
            let loss = (method.build)(&counts).unwrap_or_else(|error| panic!("{}: {error}", method.name));
            loss.check(counts.classes(), method.targets)
                .unwrap_or_else(|error| panic!("{}: {error}", method.name));
        }
    }
    // With an empty class each row still builds, or names the class.
    let counts = ClassCounts::new([9, 0, 2]).unwrap();
    let mut refused = 0;
    for method in method::SOFTMAX {
        match (method.build)(&counts) {
            Ok(loss) => loss.check(3, method.targets).unwrap(),
            Err(Error::Statistics { class: Some(1), .. }) => refused += 1,
            Err(error) => panic!("{}: {error}", method.name),
        }
    }
    assert!(refused > 0);
}

#[test]
fn the_table_is_well_formed() {
    let names: BTreeSet<&str> = method::SOFTMAX.iter().map(|method| method.name).collect();
    assert_eq!(names.len(), method::SOFTMAX.len(), "two rows have one name");
    let titles: BTreeSet<&str> = method::SOFTMAX.iter().map(|method| method.title).collect();
    assert_eq!(titles.len(), method::SOFTMAX.len(), "two rows have one title");
    for method in method::SOFTMAX {
        let snake = method.name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(snake, "{} is no snake case", method.name);
        for text in [method.title, method.formula, method.paper, method.terms] {
            assert!(
                !text.is_empty() && !text.contains('\n') && text.trim() == text,
                "{}: {text:?}",
                method.name
            );
        }
        assert_eq!(method::find(method.name).map(|found| found.title), Some(method.title));
    }
    assert!(method::find("no_such_method").is_none());
}

/// Whether the row's `terms` are those that it sets.
#[test]
fn the_table_names_its_terms() {
    let counts = ClassCounts::new([5000, 120, 13, 1]).unwrap();
    for method in method::SOFTMAX {
        let loss = (method.build)(&counts).unwrap();
        let set = [
            ("scale", loss.scale != 1.0),
            ("class scale", loss.class_scale.is_some()),
            ("bias", loss.bias.is_some()),
            ("margin", loss.margin.is_some()),
            ("gates", loss.gate.is_some()),
            ("seesaw", loss.seesaw.is_some()),
            ("focal", loss.focal.is_some()),
            ("influence", loss.influence.is_some()),
            ("weights", loss.class_weights.is_some()),
            ("smoothing", loss.label_smoothing > 0.0),
            ("class smoothing", loss.class_smoothing.is_some()),
            ("two labels", method.targets == TargetKind::Mixed),
            ("soft targets", method.targets == TargetKind::Soft),
        ];
        let expected: BTreeSet<&str> =
            set.into_iter().filter_map(|(name, set)| set.then_some(name)).collect();
        let found: BTreeSet<&str> = method.terms.split(", ").filter(|&term| term != "none").collect();
        assert_eq!(found, expected, "{}", method.name);
    }
}

#[test]
fn the_table_covers_the_golden_files() {
    let in_files: BTreeSet<String> =
        Golden::names().iter().map(|name| Golden::open(name).text("method")).collect();
    let losses: Vec<&str> = method::all().iter().flat_map(|entry| entry.golden).copied().collect();
    let heads = method::HEADS.iter().flat_map(|method| method.golden).copied();
    let in_table: BTreeSet<String> = losses.into_iter().chain(heads).map(str::to_owned).collect();
    assert_eq!(in_table, in_files);
}

#[test]
fn weights_keep_the_authors_reduction() {
    let counts = ClassCounts::new([40, 9, 1]).unwrap();
    let weights = counts.inverse_frequency(1.0, Normalisation::SumToClasses).unwrap();
    let reductions = [
        (SoftmaxLoss::weighted(weights.clone()), Reduction::WeightedMean),
        (SoftmaxLoss::focal_weighted(weights, 1.0), Reduction::Mean),
        (SoftmaxLoss::weighted_survey(&counts).unwrap(), Reduction::Mean),
        (SoftmaxLoss::class_balanced(&counts, 0.99).unwrap(), Reduction::WeightedMean),
        (SoftmaxLoss::class_balanced_mean(&counts, 0.99).unwrap(), Reduction::Mean),
        (SoftmaxLoss::influence_balanced(&counts, 1000.0).unwrap(), Reduction::Mean),
    ];
    for (loss, reduction) in reductions {
        assert_eq!(loss.reduction, reduction);
    }
}
