//! The oracle against values derived by hand: every term alone on rows small enough for paper.
//!
//! Logits are logarithms, so that probabilities are simple fractions; each expected value is derived in the
//! comment above it. What happens at the edges is in `reference_edges.rs`.

#[path = "support/close.rs"]
mod close;

use close::{all_close, close};
use longtail::softmax::{Focal, Gate, GateSource, Influence, Seesaw};
use longtail::{Batch, Error, Reduction, SoftmaxLoss, Targets, Upstream, reference};

fn spec(change: impl FnOnce(&mut SoftmaxLoss)) -> SoftmaxLoss {
    let mut spec = SoftmaxLoss::default();
    change(&mut spec);
    spec
}

fn run(spec: &SoftmaxLoss, batch: &Batch<'_, f64>) -> reference::Output {
    reference::softmax(spec, batch, Upstream::One).expect("a legal batch")
}

/// One row of logarithms of `odds` with one label.
fn one<const M: usize>(spec: &SoftmaxLoss, odds: [f64; M], label: i32) -> reference::Output {
    run(spec, &Batch::new(&odds.map(f64::ln), M, Targets::Hard(&[label])))
}

#[test]
fn cross_entropy() {
    // q = (1, 2, 5) / 8: l = -ln(2/8), gradient q - onehot.
    let output = one(&SoftmaxLoss::default(), [1.0, 2.0, 5.0], 1);
    close(output.loss, 4f64.ln());
    all_close(&output.row_loss, &[4f64.ln()]);
    all_close(&output.gradient, &[0.125, -0.75, 0.625]);
    all_close(&output.log_sum_exp, &[8f64.ln()]);
    all_close(&output.target_probability, &[0.25]);
    assert_eq!(output.argmax, [2]);
    // d loss / d class_scale_j = dL/du_j z_j.
    all_close(&output.class_scale_gradient, &[0.0, -0.75 * 2f64.ln(), 0.625 * 5f64.ln()]);
    assert_eq!(output.counts, None);
}

#[test]
fn scales_and_bias_make_v() {
    // v = 2 * (1, 3) * (ln 2, ln 1) + (0, ln 12): odds 2^2 = 4 against 12, so p_0 = 1/4.
    let spec = spec(|spec| {
        spec.scale = 2.0;
        spec.class_scale = Some(vec![1.0, 3.0]);
        spec.bias = Some(vec![0.0, 12f64.ln()]);
    });
    let output = one(&spec, [2.0, 1.0], 0);
    close(output.loss, 4f64.ln());
    // scale class_scale_j (q_j - onehot_j): 2 (-3/4), 2 * 3 * 3/4.
    all_close(&output.gradient, &[-1.5, 4.5]);
    // scale z_j (q_j - onehot_j): 2 ln 2 (-3/4), 0.
    all_close(&output.class_scale_gradient, &[-1.5 * 2f64.ln(), 0.0]);
    assert_eq!(output.argmax, [0], "of the raw logits");
}

#[test]
fn margin_is_on_the_label_only() {
    // u_0 = ln 1 - ln 3: odds 1/3 against 1, so p_0 = 1/4. The other class's margin has no effect.
    let spec = spec(|spec| spec.margin = Some(vec![3f64.ln(), 100.0]));
    let output = one(&spec, [1.0, 1.0], 0);
    close(output.loss, 4f64.ln());
    all_close(&output.gradient, &[-0.75, 0.75]);
}

#[test]
fn gates_take_classes_out_but_never_the_label() {
    let gate = Gate { tail: vec![], drop_probability: 0.0, source: GateSource::Given, seed: 0, step: 0 };
    let spec = spec(|spec| spec.gate = Some(gate));
    // Odds 1 (label, its gate 0), 5 (gated), 3: p_0 = 1/4.
    let logits = [1.0, 5.0, 3.0].map(f64::ln);
    let batch = Batch::new(&logits, 3, Targets::Hard(&[0])).with_gates(&[0.0, 0.0, 0.5]);
    let output = run(&spec, &batch);
    close(output.loss, 4f64.ln());
    all_close(&output.gradient, &[-0.75, 0.0, 0.75]);
}

#[test]
fn generated_gates_close_for_sure_at_probability_1_and_never_at_0() {
    for source in [GateSource::Element, GateSource::Sample, GateSource::Class] {
        for (drop_probability, p) in [(1.0, 0.25), (0.0, 0.125)] {
            // Odds 1 (label), 4 (tail), 3: p_0 = 1/4 with the tail class gated, else 1/8. The label is tail, too.
            let gate = Gate { tail: vec![true, true, false], drop_probability, source, seed: 7, step: 1 };
            let output = one(&spec(|spec| spec.gate = Some(gate)), [1.0, 4.0, 3.0], 0);
            close(output.target_probability[0], p);
        }
    }
}

#[test]
fn generated_gates_are_those_of_the_generator() {
    let gate =
        Gate { tail: vec![true; 4], drop_probability: 0.5, source: GateSource::Element, seed: 3, step: 9 };
    let spec = spec(|spec| spec.gate = Some(gate.clone()));
    let output = run(&spec, &Batch::new(&[0.0; 64], 4, Targets::Hard(&[1; 16])));
    let mut gated = 0;
    for row in 0..16 {
        for class in [0, 2, 3] {
            let zero = output.gradient[row * 4 + class] == 0.0;
            assert_eq!(zero, !gate.keeps(row as u32, class as u32), "row {row} class {class}");
            gated += usize::from(zero);
        }
    }
    assert!((1..48).contains(&gated), "{gated} of 48 gates closed");
}

fn seesaw(eps: f64, counts: [u64; 2], count_batch: bool) -> SoftmaxLoss {
    let seesaw = Seesaw { p: 0.5, q: 1.0, eps, counts: counts.to_vec(), count_batch };
    spec(|spec| spec.seesaw = Some(seesaw))
}

#[test]
fn seesaw_factors() {
    // s = (1/4, 3/4). M_01 = (2/8)^(1/2) = 1/2, C_01 = (s_1/s_0)^1 = 3: odds 1 against 3 / 2 * 3 = 9/2.
    let output = one(&seesaw(0.0, [8, 2], false), [1.0, 3.0], 0);
    close(output.loss, 5.5f64.ln());
    all_close(&output.gradient, &[-9.0 / 11.0, 9.0 / 11.0]);
    assert_eq!(output.counts, Some(vec![8, 2]));
    // With the floor 1/2: C_01 = (3/4) / (1/2) = 3/2, odds 1 against 3 / 2 * 3/2 = 9/4.
    close(one(&seesaw(0.5, [8, 2], false), [1.0, 3.0], 0).loss, 3.25f64.ln());
    // For the rare and likely class as the label both factors are 1.
    close(one(&seesaw(0.0, [8, 2], false), [1.0, 3.0], 1).loss, (4.0f64 / 3.0).ln());
    // The batch's label makes (7, 2) the (8, 2) from above.
    let output = one(&seesaw(0.0, [7, 2], true), [1.0, 3.0], 0);
    close(output.loss, 5.5f64.ln());
    assert_eq!(output.counts, Some(vec![8, 2]));
    // A count of 0 counts as 1: M_01 = (1/4)^(1/2), C_01 = 3.
    close(one(&seesaw(0.0, [4, 0], false), [1.0, 3.0], 0).loss, 5.5f64.ln());
}

#[test]
fn seesaw_compares_after_the_bias_and_before_the_margin() {
    // v: odds 1 against 3 * 3 = 9, so C_01 = 9; the margin ln 2 halves the label's odds: 1/2 against 81.
    let mut spec = seesaw(0.0, [1, 1], false);
    spec.bias = Some(vec![0.0, 3f64.ln()]);
    spec.margin = Some(vec![2f64.ln(), 0.0]);
    close(one(&spec, [1.0, 3.0], 0).loss, 163f64.ln());
}

#[test]
fn seesaw_does_not_count_ignored_labels() {
    let spec = seesaw(0.01, [5, 5], true);
    let output = run(&spec, &Batch::new(&[0.0; 6], 2, Targets::Hard(&[1, -100, 1])));
    assert_eq!(output.counts, Some(vec![5, 7]));
}

#[test]
fn focal_modulates() {
    let l = 4f64.ln();
    let focal = |gamma, detached, weight_inside| {
        SoftmaxLoss::default()
            .with_focal(Focal { gamma, detached, weight_inside })
            .with_class_weights(vec![2.0, 1.0])
            .with_reduction(Reduction::Sum)
    };
    // p_0 = 1/4, w_0 = 2: 2 (3/4)^2 l; by u: 2 [ (3/4)^2 + 2 (3/4) (1/4) l ] (q - onehot).
    let output = one(&focal(2.0, false, false), [1.0, 3.0], 0);
    close(output.loss, 1.125 * l);
    let slope = 2.0 * (0.5625 + 0.375 * l);
    all_close(&output.gradient, &[-0.75 * slope, 0.75 * slope]);
    // Detached: 2 (3/4)^2 (q - onehot).
    let output = one(&focal(2.0, true, false), [1.0, 3.0], 0);
    close(output.loss, 1.125 * l);
    all_close(&output.gradient, &[-0.75 * 1.125, 0.75 * 1.125]);
    // Inside: p^w = 1/16: (15/16) 2 l; by u: 2 [ 15/16 + (1/16) 2 l ] (q - onehot).
    let output = one(&focal(1.0, false, true), [1.0, 3.0], 0);
    close(output.loss, 1.875 * l);
    let slope = 1.875 + 0.25 * l;
    all_close(&output.gradient, &[-0.75 * slope, 0.75 * slope]);
}

#[test]
fn influence_divides_by_the_feature_norm() {
    // p_0 = 1/4, h = 2, w_0 = 3: 10 / (2 (3/4) 2 + 1) = 5/2.
    let influence = |detached| {
        spec(|spec| {
            spec.influence = Some(Influence { alpha: 10.0, eps: 1.0, detached });
            spec.class_weights = Some(vec![3.0, 1.0]);
            spec.reduction = Reduction::Mean;
        })
    };
    let logits = [1.0, 3.0].map(f64::ln);
    let batch = Batch::new(&logits, 2, Targets::Hard(&[0])).with_feature_norms(&[2.0]);
    let (l, output) = (4f64.ln(), run(&influence(true), &batch));
    close(output.loss, 7.5 * l);
    all_close(&output.gradient, &[-0.75 * 7.5, 0.75 * 7.5]);
    // Not detached: 3 [ 5/2 - l 10 (2 h p) / 4^2 ] with 2 h p = 1.
    let output = run(&influence(false), &batch);
    close(output.loss, 7.5 * l);
    let slope = 7.5 - 30.0 * l / 16.0;
    all_close(&output.gradient, &[-0.75 * slope, 0.75 * slope]);
}

#[test]
fn smoothing_weighs_every_class_as_in_pytorch() {
    // q = (1/4, 3/4), e = 0.2, w = (1, 3): 0.8 ln 4 + 0.1 (1 ln 4 + 3 ln(4/3)), over w_0 = 1.
    // t = (0.8 + 0.1, 0.3), T = 1.2: gradient 1.2 q - t.
    let weights = vec![1.0, 3.0];
    let expected = 0.9 * 4f64.ln() + 0.3 * (4.0f64 / 3.0).ln();
    let smooth = SoftmaxLoss::default().with_class_weights(weights.clone()).with_label_smoothing(0.2);
    let by_class = spec(|spec| {
        spec.class_weights = Some(weights);
        spec.class_smoothing = Some(vec![0.2, 0.9]);
    });
    for spec in [smooth, by_class] {
        let output = one(&spec, [1.0, 3.0], 0);
        close(output.loss, expected);
        all_close(&output.gradient, &[-0.6, 0.6]);
    }
}

#[test]
fn z_loss_adds_the_squared_log_sum_exp() {
    // logsumexp = ln 4: l + 0.5 ln(4)^2; by u: q - onehot + ln 4 q.
    let output = one(&SoftmaxLoss::default().with_z_loss(0.5), [1.0, 3.0], 0);
    let all = 4f64.ln();
    close(output.loss, all + 0.5 * all * all);
    all_close(&output.gradient, &[-0.75 + 0.25 * all, 0.75 + 0.75 * all]);
}

#[test]
fn two_labels_each_with_their_own_terms() {
    // q = (1/4, 3/4), w = (2, 1), lambda = 1/4: L = 1/4 * 2 ln 4 + 3/4 * ln(4/3); the row counts 1/4 * 2 + 3/4.
    let weighted = SoftmaxLoss::default().with_class_weights(vec![2.0, 1.0]);
    let logits = [1.0, 3.0].map(f64::ln);
    let mixed = |lambda: &'static [f32]| Targets::Mixed { first: &[0], second: &[1], lambda };
    let output = run(&weighted, &Batch::new(&logits, 2, mixed(&[0.25])));
    let expected = 0.5 * 4f64.ln() + 0.75 * (4.0f64 / 3.0).ln();
    all_close(&output.row_loss, &[expected]);
    close(output.loss, expected / 1.25);
    // 1/2 (-3/4, 3/4) + 3/4 (1/4, -1/4), over 5/4.
    all_close(&output.gradient, &[-0.1875 / 1.25, 0.1875 / 1.25]);
    close(output.target_probability[0], 0.25);

    // A margin ln 3 on class 0 makes p_0 = 1/10 for the first label and leaves p_1 = 3/4 for the second.
    let margin = spec(|spec| spec.margin = Some(vec![3f64.ln(), 0.0]));
    let output = run(&margin, &Batch::new(&logits, 2, mixed(&[0.5])));
    close(output.loss, 0.5 * 10f64.ln() + 0.5 * (4.0f64 / 3.0).ln());
    close(output.target_probability[0], 0.1);

    // Equal labels are the hard label.
    let same = Targets::Mixed { first: &[0], second: &[0], lambda: &[0.25] };
    close(run(&margin, &Batch::new(&logits, 2, same)).loss, 10f64.ln());

    // An ignored label contributes nothing; the first kept one's probability is reported.
    let half = Targets::Mixed { first: &[-100], second: &[1], lambda: &[0.25] };
    let output = run(&SoftmaxLoss::default(), &Batch::new(&logits, 2, half));
    all_close(&output.row_loss, &[0.75 * (4.0f64 / 3.0).ln()]);
    close(output.target_probability[0], 0.75);
}

#[test]
fn soft_targets_as_in_pytorch() {
    // q = (1/4, 3/4), t = (1/2, 1), w = (2, 1): 2 * 1/2 ln 4 + ln(4/3); T = 2: gradient 2 q - (1, 1).
    let weighted = SoftmaxLoss::default().with_class_weights(vec![2.0, 1.0]);
    let logits = [1.0, 3.0].map(f64::ln);
    let batch = Batch::new(&logits, 2, Targets::Soft(&[0.5, 1.0]));
    let output = run(&weighted, &batch);
    close(output.loss, 4f64.ln() + (4.0f64 / 3.0).ln());
    all_close(&output.gradient, &[-0.5, 0.5]);
    assert!(output.target_probability[0].is_nan());
    // e = 1/2: t' = t / 2 + 1/4 = (1/2, 3/4), times w: (1, 3/4).
    let output = run(&weighted.with_label_smoothing(0.5), &batch);
    close(output.loss, 4f64.ln() + 0.75 * (4.0f64 / 3.0).ln());
    all_close(&output.gradient, &[0.25 * 1.75 - 1.0, 0.75 * 1.75 - 0.75]);
}

#[test]
fn reductions_and_their_denominators() {
    // Every row's l is ln 2; w = (1, 3): rows 1 ln 2, 3 ln 2, ignored. Kept: 2 rows, of weight 1 + 3.
    let weighted = SoftmaxLoss::default().with_class_weights(vec![1.0, 3.0]);
    let batch = Batch::new(&[0.0; 6], 2, Targets::Hard(&[0, 1, -100]));
    for (reduction, denominator) in [
        (Reduction::None, 1.0),
        (Reduction::Sum, 1.0),
        (Reduction::Mean, 3.0),
        (Reduction::MeanKept, 2.0),
        (Reduction::WeightedMean, 4.0),
        (Reduction::Fixed(8.0), 8.0),
    ] {
        let output = run(&weighted.clone().with_reduction(reduction), &batch);
        close(output.loss, 4.0 * 2f64.ln() / denominator);
        all_close(&output.row_loss, &[2f64.ln(), 3.0 * 2f64.ln(), 0.0]);
        let expected = [-0.5, 0.5, 1.5, -1.5, 0.0, 0.0].map(|slope: f64| slope / denominator);
        all_close(&output.gradient, &expected);
    }
    // Row weights multiply the loss and leave the denominator.
    let output = run(&weighted, &batch.with_row_weights(&[2.0, 1.0, 1.0]));
    close(output.loss, 5.0 * 2f64.ln() / 4.0);
}

#[test]
fn upstream_multiplies_the_gradient_only() {
    let spec = SoftmaxLoss::default();
    let batch = Batch::new(&[0.0; 4], 2, Targets::Hard(&[0, 1]));
    let gradient = |upstream| {
        let output = reference::softmax(&spec, &batch, upstream).expect("legal");
        close(output.loss, 2f64.ln());
        output.gradient
    };
    all_close(&gradient(Upstream::One), &[-0.25, 0.25, 0.25, -0.25]);
    all_close(&gradient(Upstream::Scalar(4.0)), &[-1.0, 1.0, 1.0, -1.0]);
    all_close(&gradient(Upstream::PerRow(&[4.0, 0.0])), &[-1.0, 1.0, 0.0, 0.0]);
    let short = reference::softmax(&spec, &batch, Upstream::PerRow(&[1.0]));
    assert!(matches!(short, Err(Error::Length { expected: 2, found: 1, .. })), "{short:?}");
}
