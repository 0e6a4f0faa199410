//! The sigmoid family's oracle against values derived by hand: every term alone on rows small enough for paper.
//!
//! Logits are logarithms of odds, so that probabilities are simple fractions; each expected value is derived in the
//! comment above it.

#[path = "support/close.rs"]
mod close;

use close::{all_close, close};
use longtail::random::DrawSource;
use longtail::sigmoid::{
    Background, Focal, Gate, GateSource, GradientBalance, Link, Margin, Rebalance, RowWeight, Suppression,
    WeightNorm,
};
use longtail::statistics::GradientSums;
use longtail::{Batch, Error, Group, Reduction, SigmoidLoss, Targets, Upstream, reference};

const MASK: f64 = f64::NEG_INFINITY;

/// BCE with a change, summed, so that no denominator is in the way.
fn spec(change: impl FnOnce(&mut SigmoidLoss)) -> SigmoidLoss {
    let mut spec = SigmoidLoss::bce().with_reduction(Reduction::Sum);
    change(&mut spec);
    spec
}

fn run(spec: &SigmoidLoss, batch: &Batch<'_, f64>) -> reference::SigmoidOutput {
    reference::sigmoid(spec, batch, Upstream::One).expect("a legal batch")
}

/// One row of classes with these odds.
fn one<const M: usize>(spec: &SigmoidLoss, odds: [f64; M], targets: [f32; M]) -> reference::SigmoidOutput {
    run(spec, &Batch::new(&odds.map(f64::ln), M, Targets::MultiHot(&targets)))
}

fn weights<const M: usize>(spec: &SigmoidLoss, targets: &[f32]) -> Vec<f64> {
    let logits = vec![0.0; targets.len()];
    reference::sigmoid_weights(spec, &Batch::new(&logits, M, Targets::MultiHot(targets))).expect("legal")
}

#[test]
fn binary_cross_entropy() {
    // s = 3/4, 3/4, 1/2 with t = 1, 1/4, 0: log(4/3) + 1/4 log(4/3) + 3/4 log 4 + log 2; gradient s - t.
    let output = one(&spec(|_| {}), [3.0, 3.0, 1.0], [1.0, 0.25, 0.0]);
    close(output.loss, 1.25 * (4f64 / 3.0).ln() + 0.75 * 4f64.ln() + 2f64.ln());
    all_close(&output.row_loss, &[output.loss]);
    all_close(&output.gradient, &[-0.25, 0.5, 0.5]);
    assert_eq!(output.argmax, [0]);
    assert_eq!(output.gradient_sums, None);
}

#[test]
fn scale_and_bias_make_v() {
    // u = 2 ln 2 + ln(3/4) = ln 3: s = 3/4; dL/dz = 2 s.
    let spec = spec(|spec| {
        spec.scale = 2.0;
        spec.bias = Some(vec![0.75f64.ln()]);
    });
    let output = one(&spec, [2.0], [0.0]);
    close(output.loss, 4f64.ln());
    all_close(&output.gradient, &[1.5]);
}

#[test]
fn positive_weight_is_pytorchs() {
    // s = 1/4: t = 1: 3 log 4, gradient -3 3/4; t = 1/2: 3/2 log 4 + 1/2 log(4/3), gradient 1/2 1/4 - 3/2 3/4.
    let spec = spec(|_| {}).with_positive_weight(vec![3.0; 2]);
    let output = one(&spec, [1.0 / 3.0; 2], [1.0, 0.5]);
    close(output.loss, 4.5 * 4f64.ln() + 0.5 * (4f64 / 3.0).ln());
    all_close(&output.gradient, &[-2.25, -1.0]);
}

#[test]
fn margins_move_positives_only() {
    // Odds 6, 6 (positives) and 1; margins log 2, log 3, log 5. Summed over the positives: 6 / 6 = 1 twice, each log 2.
    let margin = |summed| {
        spec(|spec| spec.margin = Some(Margin { columns: vec![2f64.ln(), 3f64.ln(), 5f64.ln()], summed }))
    };
    let output = one(&margin(true), [6.0, 6.0, 1.0], [1.0, 1.0, 0.0]);
    close(output.loss, 3.0 * 2f64.ln());
    all_close(&output.gradient, &[-0.5, -0.5, 0.5]);
    // Its own: 6 / 2 = 3 and 6 / 3 = 2: log(4/3) + log(3/2) = log 2.
    let output = one(&margin(false), [6.0, 6.0, 1.0], [1.0, 1.0, 0.0]);
    close(output.loss, 2.0 * 2f64.ln());
    all_close(&output.gradient, &[-0.25, -1.0 / 3.0, 0.5]);
}

#[test]
fn negatives_at_another_scale() {
    // Negative: u = 2 log sqrt 3 = log 3, weight 1/2: 1/2 log 4, gradient 1/2 2 3/4. Positive: s = 3/4, as it is.
    // t = 1/2: a = 3/2, u = 3/2 0 = 0, weight 3/4: 3/4 log 2, gradient 3/4 3/2 (1/2 - 1/2).
    let spec = spec(|spec| spec.negative_scale = 2.0);
    let output = one(&spec, [3f64.sqrt(), 3.0, 1.0], [0.0, 1.0, 0.5]);
    close(output.loss, 0.5 * 4f64.ln() + (4f64 / 3.0).ln() + 0.75 * 2f64.ln());
    all_close(&output.gradient, &[0.75, -0.25, 0.0]);
}

#[test]
fn focal_modulates_each_element() {
    let focal = |detached| {
        let focal = Focal { gamma: 2.0, detached, weight_inside: false };
        spec(|_| {}).with_focal(focal).with_factors(0.25, 0.75)
    };
    // s = 1/4, t = 1: 1 - pt = 3/4: 1/4 9/16 log 4; by u: -3/4 [9/16 + 2 3/4 1/4 log 4], times 1/4.
    // s = 3/4, t = 0: the same with the other sign, times 3/4.
    let l = 4f64.ln();
    let output = one(&focal(false), [1.0 / 3.0, 3.0], [1.0, 0.0]);
    close(output.loss, 0.5625 * l);
    let slope = 0.75 * (0.5625 + 0.375 * l);
    all_close(&output.gradient, &[-0.25 * slope, 0.75 * slope]);
    let output = one(&focal(true), [1.0 / 3.0, 3.0], [1.0, 0.0]);
    close(output.loss, 0.5625 * l);
    all_close(&output.gradient, &[-0.25 * 0.421875, 0.75 * 0.421875]);
    // t = 1/2: 1 - pt = 1/2 for every s, a constant: 1/4 (1/2 log(4/3) + 1/2 log 4) times 1/2; gradient 1/8 (s - t).
    let output = one(&focal(false), [3.0], [0.5]);
    close(output.loss, 0.0625 * (16f64 / 3.0).ln());
    all_close(&output.gradient, &[0.03125]);
}

#[test]
fn weights_of_columns_rows_and_sides() {
    let columns = SigmoidLoss::bce().with_class_weights(vec![2.0, 3.0]).with_factors(5.0, 7.0);
    assert_eq!(weights::<2>(&columns, &[1.0, 0.0, 0.5, 0.5]), [10.0, 21.0, 12.0, 18.0]);
    // The mean over the positives; 1 without any.
    let row = SigmoidLoss::bce().with_row_weight(RowWeight::Mean(vec![2.0, 4.0]));
    assert_eq!(weights::<2>(&row, &[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]), [3.0, 3.0, 4.0, 4.0, 1.0, 1.0]);
    // For a label it is that of the label, and of an ignored row nothing is left.
    let batch = Batch::new(&[0.0; 4], 2, Targets::Hard(&[1, -100]));
    assert_eq!(reference::sigmoid_weights(&row, &batch), Ok(vec![4.0, 4.0, 0.0, 0.0]));
}

#[test]
fn effective_numbers_of_a_row() {
    // beta = 1/2: n = 1, 2, 3 have (1/2) / (1 - 2^-n) = 1, 2/3, 4/7.
    let counts = vec![1, 3];
    let mean = RowWeight::EffectiveOfMean { counts: counts.clone(), beta: 0.5 };
    // Counts 1 and 3: mean 2; only class 1: 3; nothing: 1.
    let found = weights::<2>(&SigmoidLoss::bce().with_row_weight(mean), &[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    all_close(&found, &[2.0 / 3.0, 2.0 / 3.0, 4.0 / 7.0, 4.0 / 7.0, 1.0, 1.0]);
    // The smallest of the positives' counts and of 2 for what is absent: 1; min(2, 3) = 2; 2.
    let smallest = RowWeight::EffectiveOfMin { counts, beta: 0.5, absent: 2.0 };
    let found = weights::<2>(&SigmoidLoss::bce().with_row_weight(smallest), &[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    all_close(&found, &[1.0, 1.0, 2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]);
}

/// alpha 1, beta 2 log 3, gamma 1/4 on counts 1 and 3.
fn rebalance() -> SigmoidLoss {
    let rebalance = Rebalance { counts: vec![1, 3], alpha: 1.0, beta: 2.0 * 3f64.ln(), gamma: 0.25 };
    SigmoidLoss::bce().with_rebalance(rebalance)
}

#[test]
fn re_balanced_weights() {
    // Both present: sum 1 + 1/3, r = 3/4, 1/4: sigmoid(log 3) = 3/4, sigmoid(0) = 1/2. Only class 1: r = 3, 1:
    // sigmoid(5.5 log 3), sigmoid(1.5 log 3). Nothing: r is infinite.
    let targets = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0];
    let odds = |power: f64| 3f64.powf(power) / (1.0 + 3f64.powf(power));
    let expected = [1.75, 1.5, 1.0 + odds(5.5), 1.0 + odds(1.5), 2.0, 2.0];
    all_close(&weights::<2>(&rebalance(), &targets), &expected);
    // Divided by the row's largest, or by the batch's.
    let row = rebalance().with_weight_norm(WeightNorm::Row);
    let expected = [1.0, 1.5 / 1.75, 1.0, (1.0 + odds(1.5)) / (1.0 + odds(5.5)), 1.0, 1.0];
    all_close(&weights::<2>(&row, &targets), &expected);
    let batch = rebalance().with_weight_norm(WeightNorm::Batch);
    let expected = [0.875, 0.75, (1.0 + odds(5.5)) / 2.0, (1.0 + odds(1.5)) / 2.0, 1.0, 1.0];
    all_close(&weights::<2>(&batch, &targets), &expected);
    // Weights below 1 are scaled up.
    let light = SigmoidLoss::bce().with_class_weights(vec![0.5, 0.25]).with_weight_norm(WeightNorm::Batch);
    assert_eq!(weights::<2>(&light, &[1.0, 0.0]), [1.0, 0.5]);
    // Negatives' scale and factors come after the norm.
    let mut scaled = row.with_factors(2.0, 1.0);
    scaled.negative_scale = 4.0;
    let found = weights::<2>(&scaled, &[0.0, 1.0]);
    all_close(&found, &[0.25, 2.0 * (1.0 + odds(1.5)) / (1.0 + odds(5.5))]);
}

fn balance(positive: [f64; 3], negative: [f64; 3]) -> SigmoidLoss {
    let sums = GradientSums { positive: positive.to_vec(), negative: negative.to_vec() };
    let balance = GradientBalance { sums, gamma: 12.0, mu: 0.5, alpha: 4.0 };
    spec(|spec| {
        spec.gradient_balance = Some(balance);
        spec.background = Some(Background::Column(2));
    })
}

#[test]
fn weights_from_gradients() {
    // Class 0: g = 1/2 = mu (up to 1e-10): Q = 1/2, P = 1 + 4/2. Class 1: g - mu = log 3 / 12: Q = 3/4, P = 2.
    // The last has no history.
    let g = 0.5 + 3f64.ln() / 12.0;
    let spec = balance([0.5, g, 0.0], [1.0, 1.0, 0.0]);
    for (label, expected) in [(0, [3.0, 0.75, 1.0]), (1, [0.5, 2.0, 1.0]), (2, [0.5, 0.75, 1.0])] {
        let batch = Batch::new(&[0.0; 3], 3, Targets::Hard(&[0]));
        let labels = [label];
        let batch = Batch { targets: Targets::Hard(&labels), ..batch };
        let found = reference::sigmoid_weights(&spec, &batch).expect("legal");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-8, "{found} is not {expected}");
        }
    }
}

#[test]
fn gradient_sums_of_a_batch() {
    // Weights 1. Row 0: label 0, s = 3/4, 1/4, 1/2: 1/4 for the positive, 1/4 for class 1. Row 1: background,
    // s = 1/2, 3/4, 1/4: negatives 1/2, 3/4. Row 2 has weight 2: label 1, s = 1/2, 1/2: 1 and 1. Row 3 is ignored.
    let odds = [3.0, 1.0 / 3.0, 1.0, 1.0, 3.0, 1.0 / 3.0, 1.0, 1.0, 1.0, 9.0, 9.0, 9.0];
    let logits = odds.map(f64::ln);
    let batch =
        Batch::new(&logits, 3, Targets::Hard(&[0, 2, 1, -100])).with_row_weights(&[1.0, 1.0, 2.0, 1.0]);
    for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Positives] {
        let output = run(&balance([0.0; 3], [0.0; 3]).with_reduction(reduction), &batch);
        let sums = output.gradient_sums.expect("gradient balance");
        all_close(&sums.positive, &[0.25, 1.0, 0.0]);
        all_close(&sums.negative, &[1.5, 1.0, 0.0]);
    }
    // A share of 3/4 where s = 1/4: the gradient is -1/2, 3/8 of it the positive's and 1/8 the negative's.
    let batch = Batch::new(&logits[1..2], 1, Targets::MultiHot(&[0.75]));
    let mut soft = balance([0.0; 3], [0.0; 3]).with_background(None);
    soft.gradient_balance.as_mut().expect("balance").sums = GradientSums::new(1);
    let sums = run(&soft, &batch).gradient_sums.expect("gradient balance");
    all_close(&[sums.positive[0], sums.negative[0]], &[0.375, 0.125]);
}

#[test]
fn gates_drop_negatives_of_objects() {
    // Class 1 is tail. Rows: label 0 drops it, label 1 is it, background keeps all.
    let spec = SigmoidLoss::equalization(&[0.5, 0.01, 0.5], 0.1).expect("legal");
    let batch = Batch::new(&[0.0; 9], 3, Targets::Hard(&[0, 1, 3]));
    let expected = vec![1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    assert_eq!(reference::sigmoid_weights(&spec, &batch), Ok(expected));
    // Given gates, of which a positive keeps its share.
    let gate = Gate { tail: vec![], drop_probability: 0.0, source: GateSource::Given, seed: 0, step: 0 };
    let spec = SigmoidLoss::bce().with_gate(gate);
    let batch = Batch::new(&[0.0; 3], 3, Targets::MultiHot(&[1.0, 0.0, 0.25])).with_gates(&[0.0, 0.5, 0.0]);
    assert_eq!(reference::sigmoid_weights(&spec, &batch), Ok(vec![1.0, 1.0, 0.25]));
    // Weights of every element.
    let given = SigmoidLoss::bce().with_given_weights(true);
    assert_eq!(reference::sigmoid_weights(&given, &batch), Ok(vec![0.0, 0.5, 0.0]));
}

#[test]
fn drawn_gates_are_those_of_the_generator() {
    let gate =
        Gate { tail: vec![true; 4], drop_probability: 0.5, source: GateSource::Element, seed: 3, step: 9 };
    let spec = SigmoidLoss::bce().with_gate(gate.clone());
    let found = weights::<4>(&spec, &[0.0; 64]);
    for (position, weight) in found.iter().enumerate() {
        let keeps = gate.keeps((position / 4) as u32, (position % 4) as u32);
        assert_eq!(*weight, f64::from(u8::from(keeps)), "element {position}");
    }
    let closed = found.iter().filter(|weight| **weight == 0.0).count();
    assert!((1..64).contains(&closed), "{closed} of 64 gates closed");
}

/// Columns: background, rare, common, frequent; the threshold is a probability of 3/4.
fn suppression(source: DrawSource) -> SigmoidLoss {
    let groups = vec![Group::Many, Group::Few, Group::Medium, Group::Many];
    let term = Suppression {
        threshold: 0.75,
        groups,
        rare: 0.5,
        common: 0.25,
        frequent: 1.0,
        source,
        seed: 1,
        step: 0,
    };
    spec(|spec| {
        spec.suppression = Some(term);
        spec.background = Some(Background::Column(0));
    })
}

#[test]
fn suppression_by_score_and_by_rows() {
    // Row 0 has label 2; odds 3 are at the threshold (here a bit above), 2 below it. Rows 1 to 4 are background, of which 2
    // draw the rare class and 1 the common one.
    let above = 3.0 * (1.0 + 1e-12);
    let odds = [above, 2.0, 0.1, above].into_iter().chain([1.0; 16]);
    let logits: Vec<f64> = odds.map(f64::ln).collect();
    let batch = Batch::new(&logits, 4, Targets::Hard(&[2, 0, 0, 0, 0]));
    let found = reference::sigmoid_weights(&suppression(DrawSource::Counter), &batch).expect("legal");
    assert_eq!(found[..4], [1.0, 0.0, 1.0, 1.0]);
    let column = |column: usize| (1..5).map(|row| found[4 * row + column]).sum::<f64>();
    assert_eq!([column(0), column(1), column(2), column(3)], [4.0, 2.0, 1.0, 4.0]);
    // Given: background rows follow the gates, but for their own column; rows of objects the threshold.
    let gates: Vec<f32> = (0..20).map(|position| (position % 3 == 0) as u8 as f32).collect();
    let spec = suppression(DrawSource::Given);
    let found = reference::sigmoid_weights(&spec, &batch.with_gates(&gates)).expect("legal");
    assert_eq!(found[..4], [1.0, 0.0, 1.0, 1.0]);
    for (position, weight) in found.iter().enumerate().skip(4) {
        let expected = if position % 4 == 0 { 1.0 } else { f64::from(gates[position]) };
        assert_eq!(*weight, expected, "element {position}");
    }
}

#[test]
fn the_softmax_link_is_binary_cross_entropy_of_probabilities() {
    // p = 1/4, 3/4, label 0: -log(1/4) - log(1 - 3/4) = 2 log 4. d = (p - t) / (p (1 - p)) = -4, 4; sum d p = 2:
    // gradient 1/4 (-4 - 2), 3/4 (4 - 2).
    let link = spec(|spec| spec.link = Link::Softmax);
    let output = one(&link, [1.0, 3.0], [1.0, 0.0]);
    close(output.loss, 2.0 * 4f64.ln());
    all_close(&output.gradient, &[-1.5, 1.5]);
    // Weights 2 and 1/2: d = -8, 2; sum d p = -1/2: gradient 1/4 (-7.5), 3/4 2.5.
    let output = one(&link.clone().with_class_weights(vec![2.0, 0.5]), [1.0, 3.0], [1.0, 0.0]);
    close(output.loss, 2.5 * 4f64.ln());
    all_close(&output.gradient, &[-1.875, 1.875]);
    // Logarithms stop at -100: both of them; the gradient is that of a p with p (1 - p) = 1e-12, next to nothing.
    let batch = Batch::new(&[-200.0, 0.0], 2, Targets::Hard(&[0]));
    let output = run(&link, &batch);
    assert_eq!(output.loss, 200.0);
    assert!(output.gradient.iter().all(|slope| slope.abs() < 1e-60), "{:?}", output.gradient);
    // A probability of all but 1e-20 keeps its digits: -log(1 - p_0) = log(1 + 1e20) for label 1.
    let output = one(&link, [1e20, 1.0], [0.0, 1.0]);
    close(output.loss, 2.0 * 1e20f64.ln());
    // Nothing but masks has no softmax.
    let refused = reference::sigmoid(&link, &Batch::new(&[MASK; 2], 2, Targets::Hard(&[0])), Upstream::One);
    assert!(matches!(refused, Err(Error::NonFinite { row: 0, rows: 1, .. })), "{refused:?}");
}

#[test]
fn reductions_and_their_denominators() {
    // 4 rows of 2 columns, each element log 2: labels 0, background, ignored, 1. Kept rows: 3, positives: 2.
    let batch = Batch::new(&[0.0; 8], 2, Targets::Hard(&[0, 2, -100, 1]));
    let boxes = SigmoidLoss::bce().with_background(Some(Background::Label(2)));
    for (reduction, denominator) in [
        (Reduction::None, 1.0),
        (Reduction::Sum, 1.0),
        (Reduction::Mean, 4.0),
        (Reduction::MeanKept, 3.0),
        (Reduction::Elements, 8.0),
        (Reduction::Positives, 2.0),
        (Reduction::Fixed(5.0), 5.0),
    ] {
        let output = run(&boxes.clone().with_reduction(reduction), &batch);
        close(output.loss, 6.0 * 2f64.ln() / denominator);
        all_close(&output.row_loss, &[2.0, 2.0, 0.0, 2.0].map(|rows: f64| rows * 2f64.ln()));
        let expected = [-0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.5, -0.5].map(|slope: f64| slope / denominator);
        all_close(&output.gradient, &expected);
    }
    // A background column is no positive; multi-hot positives are their sum.
    let column = SigmoidLoss::bce().with_background(Some(Background::Column(1)));
    let batch = Batch::new(&[0.0; 6], 2, Targets::Hard(&[0, 1, 1]));
    close(run(&column.with_reduction(Reduction::Positives), &batch).loss, 6.0 * 2f64.ln());
    let batch = Batch::new(&[0.0; 4], 2, Targets::MultiHot(&[1.0, 1.0, 0.0, 0.5]));
    close(run(&SigmoidLoss::bce().with_reduction(Reduction::Positives), &batch).loss, 4.0 * 2f64.ln() / 2.5);
}

#[test]
fn row_weights_and_upstream() {
    let spec = SigmoidLoss::bce().with_reduction(Reduction::MeanKept);
    let batch = Batch::new(&[0.0; 4], 2, Targets::Hard(&[0, 1])).with_row_weights(&[3.0, 1.0]);
    let output = run(&spec, &batch);
    close(output.loss, 4.0 * 2f64.ln());
    all_close(&output.gradient, &[-0.75, 0.75, 0.25, -0.25]);
    let output = reference::sigmoid(&spec, &batch, Upstream::PerRow(&[0.0, 2.0])).expect("legal");
    close(output.loss, 4.0 * 2f64.ln());
    all_close(&output.gradient, &[0.0, 0.0, 0.5, -0.5]);
    let output = reference::sigmoid(&spec, &batch, Upstream::Scalar(-4.0)).expect("legal");
    all_close(&output.gradient, &[3.0, -3.0, -1.0, 1.0]);
    let short = reference::sigmoid(&spec, &batch, Upstream::PerRow(&[1.0]));
    assert!(matches!(short, Err(Error::Length { expected: 2, found: 1, .. })), "{short:?}");
}

#[test]
fn bias_spares_background_rows() {
    // f = 1/4: the bias is -log 3; odds 3 / 3 = 1 for the object, 3 for the background row.
    let spec = SigmoidLoss::balanced(&[0.25]).expect("legal");
    let logits = [3f64.ln(); 2];
    let output = run(&spec, &Batch::new(&logits, 1, Targets::Hard(&[0, 1])));
    all_close(&output.row_loss, &[2f64.ln(), 4f64.ln()]);
    all_close(&output.gradient, &[-0.25, 0.375]);
}

#[test]
fn masks_and_extremes() {
    let focal = |gamma| spec(|_| {}).with_focal(Focal::new(gamma));
    for spec in [spec(|_| {}), focal(0.0), focal(0.5), focal(2.0)] {
        // As a negative a masked class costs nothing.
        let output = run(&spec, &Batch::new(&[MASK, 0.0], 2, Targets::Hard(&[1])));
        assert_eq!(output.gradient[0], 0.0);
        assert!(output.loss.is_finite());
        // As a positive infinity; its gradient is that of a probability of 0.
        let output = run(&spec, &Batch::new(&[MASK], 1, Targets::Hard(&[0])));
        assert_eq!((output.loss, output.gradient), (f64::INFINITY, vec![-1.0]));
        // A weight of 0 silences it.
        let silent = spec.clone().with_class_weights(vec![0.0]);
        let output = run(&silent, &Batch::new(&[MASK], 1, Targets::Hard(&[0])));
        assert_eq!((output.loss, output.gradient), (0.0, vec![0.0]));
        // Far on the wrong side: the loss is the logit, the gradient 1; on the right side both vanish.
        let output = run(&spec, &Batch::new(&[1e30, -1e30, 1e30], 3, Targets::MultiHot(&[0.0, 1.0, 1.0])));
        close(output.loss / 2e30, 1.0);
        all_close(&output.gradient, &[1.0, -1.0, 0.0]);
    }
    // 1 - pt of e^-40 keeps its digits under a root: sqrt(e^-40) e^-40.
    let output = run(&focal(0.5), &Batch::new(&[40.0], 1, Targets::Hard(&[0])));
    assert!((output.loss / (-60f64).exp() - 1.0).abs() < 1e-12, "{}", output.loss);
    // Frequencies of 0 take the class out.
    let spec = SigmoidLoss::balanced(&[0.0, 0.5]).expect("legal").with_reduction(Reduction::Sum);
    let output = run(&spec, &Batch::new(&[7.0, 0.0], 2, Targets::Hard(&[1])));
    close(output.loss, 2f64.ln());
    assert_eq!(output.gradient[0], 0.0);
}

#[test]
fn nothing_to_count() {
    let targets: [(&[i32], &[f64]); 2] = [(&[], &[]), (&[-100, -100], &[0.5, 9.0])];
    for (labels, logits) in targets {
        for reduction in [Reduction::Mean, Reduction::MeanKept, Reduction::Elements, Reduction::Positives] {
            let output = run(
                &SigmoidLoss::bce().with_reduction(reduction),
                &Batch::new(logits, 1, Targets::Hard(labels)),
            );
            assert_eq!(output.loss, 0.0);
            assert!(output.gradient.iter().all(|slope| *slope == 0.0));
        }
    }
    // Rows count but hold no positive.
    let spec = SigmoidLoss::bce().with_reduction(Reduction::Positives);
    let output = run(&spec, &Batch::new(&[5.0, -5.0], 2, Targets::MultiHot(&[0.0, 0.0])));
    assert_eq!((output.loss, output.gradient), (0.0, vec![0.0; 2]));
    assert!(output.row_loss[0] > 0.0, "the row's own loss is there");
}

#[test]
fn scores_at_test_time() {
    // s = 1/4, 1/2, 3/4; the last column is background.
    let logits = [1.0 / 3.0, 1.0, 3.0].map(f64::ln);
    all_close(&reference::sigmoid_scores(&logits, 3, None).expect("legal"), &[0.25, 0.5, 0.75]);
    all_close(&reference::sigmoid_scores(&logits, 3, Some(2)).expect("legal"), &[0.0625, 0.125, 0.75]);
    assert!(matches!(reference::sigmoid_scores(&logits, 2, None), Err(Error::Length { .. })));
    assert!(matches!(reference::sigmoid_scores(&logits, 3, Some(3)), Err(Error::Parameter { .. })));
    assert!(matches!(reference::sigmoid_scores(&logits, 0, None), Err(Error::Parameter { .. })));
}
