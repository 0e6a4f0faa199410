//! Class statistics: values derived by hand, properties, errors, and the columns stored in the golden files.

#[path = "support/golden.rs"]
mod golden;

use golden::Golden;
use longtail::Group::{Few, Many, Medium};
use longtail::{ClassCounts, Error, Normalisation, Profile};
use proptest::prelude::*;

fn counts(counts: &[u64]) -> ClassCounts {
    ClassCounts::new(counts).unwrap()
}

/// Equal to a relative (absolute below 1) tolerance, infinities included.
#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (class, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let near = found == expected || (found - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(near, "class {class}: found {found}, expected {expected}");
    }
}

#[track_caller]
fn blames(result: longtail::Result<Vec<f64>>, class: usize) {
    match result {
        Err(Error::Statistics { class: Some(found), reason }) => {
            assert_eq!(found, class);
            assert!(reason.contains("drop the class"), "no cure in: {reason}");
        }
        other => panic!("expected an error that names class {class}, found {other:?}"),
    }
}

#[test]
fn counts_are_what_was_given() {
    let counts = counts(&[7, 0, 3]);
    assert_eq!((counts.classes(), counts.total(), counts.max(), counts.min()), (3, 10, 7, 0));
    assert_eq!(counts.counts(), [7, 0, 3]);
    assert_eq!(counts.imbalance_factor(), None);
    assert_eq!(ClassCounts::new([6, 3, 2]).unwrap().imbalance_factor(), Some(3.0));
    assert_eq!(ClassCounts::new(vec![5]).unwrap().imbalance_factor(), Some(1.0));
}

#[test]
fn counts_without_a_class_or_a_sample_are_refused() {
    for bad in [vec![], vec![0], vec![0, 0], vec![u64::MAX, 1]] {
        let error = ClassCounts::new(bad.clone()).unwrap_err();
        assert!(matches!(error, Error::Statistics { class: None, .. }), "{bad:?}: {error}");
    }
    assert_eq!(ClassCounts::new([u64::MAX, 0]).unwrap().total(), u64::MAX);
}

#[test]
fn labels_are_counted_or_refused() {
    let labels = [0, 2, 2, -1, 2];
    assert_eq!(ClassCounts::from_labels(&labels, 4, Some(-1)).unwrap().counts(), [1, 0, 3, 0]);
    // Without an ignored index -1 is a bad label; with two classes so are the three 2s.
    let error = ClassCounts::from_labels(&labels, 4, None).unwrap_err();
    assert_eq!(error, Error::Label { row: 3, label: Some(-1), classes: 4, rows: 1 });
    let error = ClassCounts::from_labels(&labels, 2, Some(-1)).unwrap_err();
    assert_eq!(error, Error::Label { row: 1, label: Some(2), classes: 2, rows: 3 });
    // An ignored index may be a class, too.
    assert_eq!(ClassCounts::from_labels(&[0, 1, 1], 2, Some(1)).unwrap().counts(), [1, 0]);
    assert!(matches!(
        ClassCounts::from_labels(&[-1], 2, Some(-1)),
        Err(Error::Statistics { class: None, .. })
    ));
    assert!(matches!(ClassCounts::from_labels(&[], 0, None), Err(Error::Statistics { class: None, .. })));
}

#[test]
fn priors_and_their_logarithms() {
    // n = 8: pi = 1/2, 0, 1/8, 3/8.
    let counts = counts(&[4, 0, 1, 3]);
    close(&counts.priors(), &[0.5, 0.0, 0.125, 0.375], 0.0);
    let ln2 = std::f64::consts::LN_2;
    let none = f64::NEG_INFINITY;
    close(&counts.log_counts(), &[2.0 * ln2, none, 0.0, 3f64.ln()], 1e-15);
    close(&counts.log_priors(0.0), &[-ln2, none, -3.0 * ln2, 3f64.ln() - 3.0 * ln2], 1e-15);
    // pi + 1/8 = 5/8, 1/8, 1/4, 1/2.
    close(&counts.log_priors(0.125), &[0.625f64.ln(), -3.0 * ln2, -2.0 * ln2, -ln2], 1e-15);
}

#[test]
fn reversed_priors_swap_head_and_tail() {
    // pi = 0.5, 0.2, 0.3; ranks from the bottom 2, 0, 1 become 0, 2, 1.
    let reversed = counts(&[5, 2, 3]).reversed_log_priors(0.0);
    close(&reversed, &[0.2f64.ln(), 0.5f64.ln(), 0.3f64.ln()], 1e-15);
    // Ties by index: from the bottom class 0, class 2, class 1, so that class 0 gets the prior of class 1.
    let reversed = counts(&[2, 4, 2]).reversed_log_priors(0.0);
    close(&reversed, &[0.5f64.ln(), 0.25f64.ln(), 0.25f64.ln()], 1e-15);
}

#[test]
fn inverse_frequency_in_every_normalisation() {
    // 1/6 + 1/3 + 1/2 = 1; n = 11; K = 3.
    let counts = counts(&[6, 3, 2]);
    let cases = [
        (Normalisation::None, [1.0 / 6.0, 1.0 / 3.0, 0.5]),
        (Normalisation::Prior, [11.0 / 6.0, 11.0 / 3.0, 5.5]),
        (Normalisation::SumToOne, [1.0 / 6.0, 1.0 / 3.0, 0.5]),
        (Normalisation::SumToClasses, [0.5, 1.0, 1.5]),
        (Normalisation::SampleMean, [11.0 / 18.0, 11.0 / 9.0, 11.0 / 6.0]),
        (Normalisation::Smallest, [1.0 / 3.0, 2.0 / 3.0, 1.0]),
        (Normalisation::Largest, [1.0, 2.0, 3.0]),
    ];
    for (normalisation, expected) in cases {
        close(&counts.inverse_frequency(1.0, normalisation).unwrap(), &expected, 1e-15);
    }
}

#[test]
fn inverse_square_root_frequency() {
    // n^-1/2 = 1/2, 1; pi^-1/2 = sqrt(5)/2, sqrt(5); mean over the five samples (4 * 1/2 + 1) / 5 = 3/5.
    let counts = counts(&[4, 1]);
    let root = 5f64.sqrt();
    let cases = [
        (Normalisation::None, [0.5, 1.0]),
        (Normalisation::Prior, [root / 2.0, root]),
        (Normalisation::SumToOne, [1.0 / 3.0, 2.0 / 3.0]),
        (Normalisation::SumToClasses, [2.0 / 3.0, 4.0 / 3.0]),
        (Normalisation::SampleMean, [5.0 / 6.0, 5.0 / 3.0]),
        (Normalisation::Smallest, [0.5, 1.0]),
        (Normalisation::Largest, [1.0, 2.0]),
    ];
    for (normalisation, expected) in cases {
        close(&counts.inverse_frequency(0.5, normalisation).unwrap(), &expected, 1e-15);
    }
}

#[test]
fn weights_by_negative_logarithm() {
    // n_max / n = 1, 2, 8.
    let ln2 = std::f64::consts::LN_2;
    close(&counts(&[8, 4, 1]).neg_log_weights().unwrap(), &[1.0, 1.0 + ln2, 1.0 + 3.0 * ln2], 1e-15);
}

#[test]
fn effective_numbers_and_weights() {
    // beta = 1/2: (1 - 1/2^n) / (1/2) = 0, 1, 3/2, 7/4.
    close(&counts(&[0, 1, 2, 3]).effective_numbers(0.5).unwrap(), &[0.0, 1.0, 1.5, 1.75], 1e-15);
    // 1 / E = 1, 2/3; times 2 / (5/3).
    close(&counts(&[1, 2]).effective_weights(0.5).unwrap(), &[1.2, 0.8], 1e-15);
    close(&counts(&[9, 1, 400]).effective_weights(0.0).unwrap(), &[1.0; 3], 0.0);
    // One sample is one effective sample; two are 1 + beta. The naive form loses 1e-8 of these.
    let beta = 1.0 - 1e-9;
    close(&counts(&[1, 2]).effective_numbers(beta).unwrap(), &[1.0, 1.0 + beta], 1e-15);
    // n ln(beta) far below 0: the number is 1 / (1 - beta).
    close(&counts(&[1 << 40]).effective_numbers(0.9999).unwrap(), &[1e4], 1e-11);
}

#[test]
fn margins_and_temperatures() {
    // n^(1/4) = 2, 1, 3.
    close(&counts(&[16, 1, 81]).ldam_margins(0.6).unwrap(), &[0.3, 0.6, 0.2], 1e-15);
    close(&counts(&[100, 25, 1]).inverse_temperatures(0.5).unwrap(), &[1.0, 0.5, 0.1], 1e-15);
    close(&counts(&[100, 25, 1]).inverse_temperatures(0.0).unwrap(), &[1.0; 3], 0.0);
}

#[test]
fn dividing_by_an_empty_class_names_it() {
    let counts = counts(&[5, 3, 0, 0]);
    blames(counts.inverse_frequency(1.0, Normalisation::SumToClasses), 2);
    blames(counts.neg_log_weights(), 2);
    blames(counts.effective_weights(0.9), 2);
    blames(counts.ldam_margins(0.5), 2);
    blames(counts.inverse_temperatures(0.2), 2);
}

#[test]
fn parameters_out_of_range_are_named() {
    let counts = counts(&[5, 3]);
    let refused = |result: longtail::Result<Vec<f64>>| matches!(result, Err(Error::Parameter { .. }));
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(refused(counts.inverse_frequency(bad, Normalisation::None)), "power {bad}");
        assert!(refused(counts.ldam_margins(bad)), "max_margin {bad}");
        assert!(refused(counts.inverse_temperatures(bad)), "gamma {bad}");
        assert!(refused(counts.effective_weights(bad)), "beta {bad}");
    }
    assert!(refused(counts.effective_numbers(1.0)));
}

#[test]
fn groups_by_count() {
    let counts = counts(&[500, 101, 100, 20, 19, 11, 10, 0]);
    assert_eq!(counts.standard_groups(), [Many, Many, Medium, Medium, Few, Few, Few, Few]);
    assert_eq!(counts.lvis_groups(), [Many, Many, Medium, Medium, Medium, Medium, Few, Few]);
    assert_eq!(counts.groups(19, 1), [Many, Many, Many, Many, Medium, Medium, Medium, Few]);
}

#[test]
fn tail_by_prior_at_the_threshold() {
    // pi = 1/4, 1/4, 1/2.
    let counts = counts(&[1, 1, 2]);
    assert_eq!(counts.tail_below(0.25), [false, false, false]);
    assert_eq!(counts.tail_at_or_below(0.25), [true, true, false]);
    assert_eq!(counts.tail_below(0.3), [true, true, false]);
}

#[test]
fn exponential_profile_is_the_published_split() {
    // CIFAR-10-LT and CIFAR-100-LT with imbalance 100 are known to have 12,406 and 10,847 images.
    let cifar10 = Profile::Exponential.counts(10, 5000, 100.0).unwrap();
    assert_eq!(cifar10.counts(), [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]);
    assert_eq!(cifar10.total(), 12_406);
    let cifar100 = Profile::Exponential.counts(100, 500, 100.0).unwrap();
    assert_eq!(cifar100.total(), 10_847);
    assert_eq!((cifar100.max(), cifar100.min()), (500, 5));
    // 147 * (1 / 49) is below 3 in f64.
    assert_eq!(Profile::Exponential.counts(2, 147, 49.0).unwrap().counts(), [147, 3]);
}

#[test]
fn other_profiles() {
    assert_eq!(Profile::Step.counts(5, 100, 10.0).unwrap().counts(), [100, 100, 10, 10, 10]);
    assert_eq!(Profile::Step.counts(4, 109, 10.0).unwrap().counts(), [109, 109, 10, 10]);
    // Imbalance K is s = 1: 100 / 1, 2, 3, 4.
    assert_eq!(Profile::Zipf.counts(4, 100, 4.0).unwrap().counts(), [100, 50, 33, 25]);
    // Imbalance 2^7 is c = 1: (1 + 1/2)^-7 = 128 / 2187 of 128 * 2187.
    assert_eq!(Profile::Pareto.counts(3, 279_936, 128.0).unwrap().counts(), [279_936, 16_384, 2187]);
    for profile in [Profile::Exponential, Profile::Step, Profile::Pareto, Profile::Zipf] {
        assert_eq!(profile.counts(1, 9, 3.0).unwrap().counts(), [9], "{profile:?}");
        assert_eq!(profile.counts(3, 9, 1.0).unwrap().counts(), [9, 9, 9], "{profile:?}");
        for bad in [0.5, f64::NAN, f64::INFINITY, 9.5] {
            assert!(matches!(profile.counts(3, 9, bad), Err(Error::Parameter { .. })), "{profile:?} {bad}");
        }
        assert!(matches!(profile.counts(0, 9, 3.0), Err(Error::Statistics { .. })), "{profile:?}");
        assert!(matches!(profile.counts(3, 0, 3.0), Err(Error::Statistics { .. })), "{profile:?}");
    }
}

/// What the authors' code computed from the same counts, in f32.
#[test]
fn columns_of_the_authors_code() {
    let file = Golden::open("ldam__drw_k10");
    close(&file.counts().ldam_margins(0.5).unwrap(), &file.floats("margins"), 1e-7);
    close(&file.counts().effective_weights(0.9999).unwrap(), &file.floats("class_weights"), 1e-7);
    let file = Golden::open("vs_loss__k10");
    close(
        &file.counts().log_priors(0.0).iter().map(|log| 1.25 * log).collect::<Vec<_>>(),
        &file.floats("iota"),
        1e-7,
    );
    let inverse: Vec<f64> = file.floats("delta").iter().map(|delta| 1.0 / delta).collect();
    close(&file.counts().inverse_temperatures(0.15).unwrap(), &inverse, 1e-7);
    let file = Golden::open("influence_balanced__k10");
    let weights = file.counts().inverse_frequency(1.0, Normalisation::SumToClasses).unwrap();
    close(&weights, &file.floats("class_weights"), 1e-7);
    let file = Golden::open("eql_softmax__k10");
    let tail: Vec<f64> = file
        .counts()
        .tail_below(file.number("lambda"))
        .iter()
        .map(|&tail| f64::from(u8::from(tail)))
        .collect();
    close(&tail, &file.floats("tail_mask"), 0.0);
    let file = Golden::open("sade_inverse_softmax__k10");
    let (log, reversed) = (file.counts().log_priors(1e-9), file.counts().reversed_log_priors(1e-9));
    let bias: Vec<f64> = log.iter().zip(reversed).map(|(log, other)| log - 2.0 * other).collect();
    close(&bias, &file.floats("bias"), 1e-7);
}

#[cfg(feature = "serde")]
#[test]
fn stored_counts_are_checked_when_read() {
    let counts = counts(&[3, 1]);
    let text = serde_json::to_string(&counts).unwrap();
    assert_eq!(text, "[3,1]");
    assert_eq!(serde_json::from_str::<ClassCounts>(&text).unwrap(), counts);
    assert!(serde_json::from_str::<ClassCounts>("[0,0]").is_err());
}

proptest! {
    #[test]
    fn uniform_counts_treat_classes_alike(classes in 1usize..50, each in 1u64..10_000, beta in 0.0..0.99999) {
        let counts = counts(&vec![each; classes]);
        let uniform = 1.0 / classes as f64;
        close(&counts.priors(), &vec![uniform; classes], 1e-15);
        close(&counts.effective_weights(beta).unwrap(), &vec![1.0; classes], 1e-12);
        close(&counts.ldam_margins(0.5).unwrap(), &vec![0.5; classes], 0.0);
        close(&counts.neg_log_weights().unwrap(), &vec![1.0; classes], 0.0);
        close(&counts.reversed_log_priors(0.0), &counts.log_priors(0.0), 0.0);
    }

    #[test]
    fn statistics_of_any_counts(values in prop::collection::vec(1u64..1_000_000, 1..40), power in 0.0..3.0) {
        let counts = counts(&values);
        let classes = values.len() as f64;
        let sum = |values: Vec<f64>| values.iter().sum::<f64>();
        close(&[sum(counts.priors())], &[1.0], 1e-12);
        let inverse = |normalisation| counts.inverse_frequency(power, normalisation).unwrap();
        close(&[sum(inverse(Normalisation::SumToClasses))], &[classes], 1e-12);
        close(&[sum(inverse(Normalisation::SumToOne))], &[1.0], 1e-12);
        let mean = inverse(Normalisation::SampleMean).iter().zip(counts.priors()).map(|(w, pi)| w * pi).sum();
        close(&[mean], &[1.0], 1e-12);
        // Towards beta = 1 the effective number is the number.
        let inverse = counts.inverse_frequency(1.0, Normalisation::SumToClasses).unwrap();
        close(&counts.effective_weights(1.0 - 1e-14).unwrap(), &inverse, 1e-6);
        let margins = counts.ldam_margins(0.3).unwrap();
        prop_assert_eq!(margins.iter().copied().fold(0.0, f64::max), 0.3);
        // Reversing permutes the priors and pairs the largest with the smallest.
        let (mut log, mut reversed) = (counts.log_priors(0.0), counts.reversed_log_priors(0.0));
        let head = values.iter().position(|&count| count == counts.max()).unwrap();
        if values.iter().filter(|&&count| count == counts.max()).count() == 1 {
            prop_assert_eq!(reversed[head], (counts.min() as f64 / counts.total() as f64).ln());
        }
        log.sort_by(f64::total_cmp);
        reversed.sort_by(f64::total_cmp);
        prop_assert_eq!(log, reversed);
    }

    #[test]
    fn profiles_keep_their_ends(classes in 2usize..300, n_max in 1u64..100_000, share in 0.0..=1.0) {
        let imbalance = (n_max as f64).powf(share);
        for profile in [Profile::Exponential, Profile::Step, Profile::Pareto, Profile::Zipf] {
            let counts = profile.counts(classes, n_max, imbalance).unwrap();
            let values = counts.counts();
            prop_assert_eq!(values.len(), classes);
            prop_assert_eq!(values[0], n_max);
            prop_assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
            let last = n_max as f64 / imbalance;
            prop_assert!((values[classes - 1] as f64 - last).abs() <= 1.0 && counts.min() >= 1);
        }
    }
}
