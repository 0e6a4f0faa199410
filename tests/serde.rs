//! Specs through serde: what is written is what is read back.
#![cfg(feature = "serde")]

use longtail::grouped::Taxonomy;
use longtail::head::{Head, HeadLoss, Inference};
use longtail::method::{DISTILLATION, GROUPED, HEADS, LADE, Method, OBJECTNESS, RANGE, SIGMOID, SOFTMAX};
use longtail::statistics::GradientSums;
use longtail::{ClassCounts, Reduction, SoftmaxLoss};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn round_trip<L: Serialize + DeserializeOwned>(spec: &L) -> L {
    let text = serde_json::to_string(spec).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The methods of a table as they were.
fn come_back<L: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(methods: &[Method<L>]) {
    let counts = ClassCounts::new([500, 120, 30, 7]).unwrap();
    for method in methods {
        let spec = (method.build)(&counts).unwrap();
        assert_eq!(round_trip(&spec), spec, "{}", method.name);
    }
}

#[test]
fn the_other_families_come_back() {
    come_back(SIGMOID);
    come_back(GROUPED);
    come_back(LADE);
    come_back(DISTILLATION);
    come_back(OBJECTNESS);
    come_back(RANGE);
    let sums = GradientSums { positive: vec![0.1 + 0.2, 0.0], negative: vec![1.0 / 3.0, 5e-324] };
    assert_eq!(round_trip(&sums), sums);
    let tree = Taxonomy::from_parents(&[None, Some(0), Some(1), Some(1), Some(0)]).unwrap();
    assert_eq!(round_trip(&tree), tree);
    // What `new` refuses is refused.
    assert!(serde_json::from_str::<Taxonomy>("[[{\"Node\":0}]]").is_err());
}

#[test]
fn every_method_comes_back_as_it_was() {
    let counts = ClassCounts::new([500, 120, 30, 7]).unwrap();
    let plain = SoftmaxLoss::cross_entropy();
    let mut plain_ones = 0;
    for method in SOFTMAX {
        let spec = (method.build)(&counts).unwrap();
        assert_eq!(round_trip(&spec), spec, "{}", method.name);
        plain_ones += usize::from(spec == plain);
    }
    // Without this the test would pass on specs that all read back as the default.
    assert!(plain_ones < SOFTMAX.len() / 2, "{plain_ones} of {} are plain cross-entropy", SOFTMAX.len());
}

#[test]
fn every_head_comes_back_as_it_was() {
    for method in HEADS {
        let spec = HeadLoss::new((method.build)(), SoftmaxLoss::focal(2.0));
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<HeadLoss>(&text).unwrap(), spec, "{}", method.name);
        assert!(method.name == "linear" || spec.head != Head::linear(), "{}", method.name);
    }
    let inference = Inference::top(5).with_adjustment(vec![0.1, -0.2]).with_effect([0.3], 1.5);
    let text = serde_json::to_string(&inference).unwrap();
    assert_eq!(serde_json::from_str::<Inference>(&text).unwrap(), inference);
}

#[test]
fn numbers_keep_every_bit() {
    let mut spec = SoftmaxLoss::cross_entropy().with_reduction(Reduction::Fixed(0.1 + 0.2));
    spec.bias = Some(vec![1.0 / 3.0, -f64::MIN_POSITIVE, 5e-324]);
    spec.ignore_index = None;
    let back = round_trip(&spec);
    let bits =
        |spec: &SoftmaxLoss| spec.bias.iter().flatten().map(|value| value.to_bits()).collect::<Vec<u64>>();
    assert_eq!(bits(&back), bits(&spec));
    assert_eq!(back.reduction, Reduction::Fixed(0.30000000000000004));
    assert_eq!(back.ignore_index, None);
}

/// JSON has no infinities: a class without samples, whose bias is `-inf`, is an error and never another number.
#[test]
fn json_refuses_what_it_cannot_hold() {
    let spec = SoftmaxLoss::balanced(&ClassCounts::new([3, 0]).unwrap());
    assert_eq!(spec.bias.as_ref().unwrap()[1], f64::NEG_INFINITY);
    let text = serde_json::to_string(&spec).unwrap();
    assert!(serde_json::from_str::<SoftmaxLoss>(&text).is_err(), "{text}");
}

#[test]
fn counts_come_back() {
    let counts = ClassCounts::new([u64::MAX / 8, 0, 3]).unwrap();
    let text = serde_json::to_string(&counts).unwrap();
    assert_eq!(serde_json::from_str::<ClassCounts>(&text).unwrap(), counts);
}

#[test]
fn counts_that_new_refuses_are_refused() {
    assert_eq!(serde_json::from_str::<ClassCounts>("[0, 2]").unwrap(), ClassCounts::new([0, 2]).unwrap());
    for text in ["[]", "[0, 0]", "[18446744073709551615, 1]"] {
        assert!(serde_json::from_str::<ClassCounts>(text).is_err(), "{text}");
    }
}
