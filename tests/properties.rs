//! What must hold whatever the numbers are: sums, invariances, equal bits, and methods that become each other.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;

use gpu::{Got, Manner, Up, context, pass, request, run};
use inputs::{Data, Draws, Flavour, Mix, counts};
use longtail::gpu::{DeviceCounts, Mode, RowChoice, Storage};
use longtail::softmax::{Focal, Gate, GateSource, Influence, Seesaw, SmoothingShape};
use longtail::{Batch, ClassCounts, Reduction, SoftmaxLoss, TargetKind, Targets};
use proptest::prelude::*;

const PLAIN: &[Flavour] = &[Flavour::Unit, Flavour::Trained, Flavour::Spread];
const UNIT: &[Flavour] = &[Flavour::Unit];
const STREAM: RowChoice = RowChoice::stream(1, 8);

fn data(rows: usize, classes: usize, kind: TargetKind, flavours: &'static [Flavour]) -> Data {
    Data::new(rows, classes, kind, Mix { seed: 3, flavours, ignore: Some(-100), row_weights: false })
}

fn go(spec: &SoftmaxLoss, data: &Data, manner: Manner) -> Got {
    let (_, got) = run(context().kernels(), spec, data, manner).unwrap();
    assert_eq!(got.status, None);
    got
}

fn close(a: &[f32], b: &[f32], absolute: f32, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (index, (a, b)) in a.iter().zip(b).enumerate() {
        let bound = absolute + 1e-5 * b.abs();
        assert!((a - b).abs() <= bound, "{what}: element {index}: {a:e} and {b:e}");
    }
}

#[test]
fn rows_of_the_gradient_sum_to_zero() {
    for (name, spec) in [
        ("balanced", SoftmaxLoss::balanced(&counts(131))),
        ("seesaw", SoftmaxLoss::seesaw(&counts(131))),
        ("focal", SoftmaxLoss::focal(2.0)),
        ("smoothing", SoftmaxLoss::cross_entropy().with_label_smoothing(0.1)),
    ] {
        let data = data(13, 131, TargetKind::Hard, PLAIN);
        let got = go(&spec.with_reduction(Reduction::Sum), &data, Manner::default());
        for (row, gradient) in got.gradient.chunks_exact(131).enumerate() {
            let sum: f64 = gradient.iter().map(|&g| f64::from(g)).sum();
            let size: f64 = gradient.iter().map(|&g| f64::from(g).abs()).sum();
            assert!(sum.abs() <= 2e-5 * size, "{name} row {row}: {sum:e} of {size:e}");
            assert_eq!(size == 0.0, data.labels[row] == -100, "{name} row {row}");
        }
    }
}

/// Softmax does not see a constant added to a row. Multiples of 1/8 keep the sums exact.
#[test]
fn shifted_rows() {
    let mut data = data(9, 65, TargetKind::Hard, UNIT);
    for z in &mut data.logits {
        *z = (*z * 8.0).round() / 8.0;
    }
    let mut shifted = data.clone();
    for (index, z) in shifted.logits.iter_mut().enumerate() {
        *z += [16.0, -32.0, 64.0][index / 65 % 3];
    }
    for spec in [SoftmaxLoss::cross_entropy(), SoftmaxLoss::seesaw(&counts(65)), SoftmaxLoss::focal(1.5)] {
        let (a, b) = (go(&spec, &data, Manner::default()), go(&spec, &shifted, Manner::default()));
        close(&a.gradient, &b.gradient, 2e-6, "gradient");
        close(&a.row_loss, &b.row_loss, 4e-5, "loss");
        assert_eq!(a.argmax, b.argmax);
    }
}

/// Specs whose numbers are neutral: cross-entropy, by different kernels.
#[test]
fn neutral_parameters_are_cross_entropy() {
    let classes = 37;
    let uniform = ClassCounts::new(vec![50u64; classes]).unwrap();
    let tail = counts(classes);
    let with = |change: &dyn Fn(&mut SoftmaxLoss)| {
        let mut spec = SoftmaxLoss::cross_entropy();
        change(&mut spec);
        spec
    };
    let gate = |drop_probability, source, tail| Gate { tail, drop_probability, source, seed: 5, step: 9 };
    let seesaw = |p, q, eps| Seesaw { p, q, eps, counts: vec![50; classes], count_batch: false };
    let neutral = [
        ("balanced, uniform counts", SoftmaxLoss::balanced(&uniform)),
        ("logit adjustment, uniform counts", SoftmaxLoss::logit_adjusted(&uniform, 1.0).unwrap()),
        ("logit adjustment, tau 0", SoftmaxLoss::logit_adjusted_exact(&tail, 0.0).unwrap()),
        ("focal, gamma 0", SoftmaxLoss::focal(0.0)),
        ("focal detached, gamma 0", SoftmaxLoss::focal_detached(0.0)),
        (
            "ldam, no margin",
            SoftmaxLoss::ldam(&tail, 0.5, 1.0)
                .map(|mut spec| {
                    spec.margin = Some(vec![0.0; classes]);
                    spec
                })
                .unwrap(),
        ),
        ("class scales of 1", SoftmaxLoss::learnable_scaling(vec![1.0; classes])),
        ("temperatures, gamma 0", SoftmaxLoss::class_dependent_temperature(&tail, 0.0).unwrap()),
        ("weights of 2, weighted mean", SoftmaxLoss::weighted(vec![2.0; classes])),
        ("class smoothing of 0", with(&|spec| spec.class_smoothing = Some(vec![0.0; classes]))),
        ("seesaw, p = q = 0", with(&|spec| spec.seesaw = Some(seesaw(0.0, 0.0, 0.01)))),
        ("seesaw, uniform counts, q = 0", with(&|spec| spec.seesaw = Some(seesaw(0.8, 0.0, 0.01)))),
        (
            "gates, drop 0",
            with(&|spec| spec.gate = Some(gate(0.0, GateSource::Element, vec![true; classes]))),
        ),
        (
            "gates, no tail",
            with(&|spec| spec.gate = Some(gate(1.0, GateSource::Sample, vec![false; classes]))),
        ),
        (
            "influence of 1",
            with(&|spec| {
                // alpha / (2 (1 - p) 0 + eps) = 1: the norms are set to 0 below.
                spec.influence = Some(Influence { alpha: 0.5, eps: 0.5, detached: false });
            }),
        ),
        ("z-loss of 0", SoftmaxLoss::cross_entropy().with_z_loss(0.0)),
        (
            "label-aware smoothing of 0",
            SoftmaxLoss::label_aware_smoothing(&tail, 0.0, 0.0, SmoothingShape::Linear).unwrap(),
        ),
    ];
    let mut data = data(11, classes, TargetKind::Hard, PLAIN);
    data.norms = vec![0.0; 11];
    let plain = go(&SoftmaxLoss::cross_entropy(), &data, Manner::default());
    for (name, spec) in neutral {
        for mode in [Mode::LossAndGrad, Mode::ForwardBackward] {
            let got = go(&spec, &data, Manner { mode, ..Manner::default() });
            close(&got.gradient, &plain.gradient, 1e-7, name);
            close(
                &got.row_loss,
                &plain.row_loss.iter().map(|loss| loss * weight(&spec)).collect::<Vec<_>>(),
                1e-6,
                name,
            );
            close(&[got.loss], &[plain.loss], 1e-6, name);
        }
    }
    // The opposite: the same terms with numbers that are not neutral change the gradient.
    for spec in [SoftmaxLoss::balanced(&tail), SoftmaxLoss::focal(1.0), SoftmaxLoss::seesaw(&tail)] {
        assert_ne!(go(&spec, &data, Manner::default()).gradient, plain.gradient);
    }
}

fn weight(spec: &SoftmaxLoss) -> f32 {
    spec.class_weights.as_ref().map_or(1.0, |weights| weights[0] as f32)
}

#[test]
fn same_bits_on_two_runs_and_in_place() {
    for spec in [
        SoftmaxLoss::seesaw(&counts(203)),
        SoftmaxLoss::ldam(&counts(203), 0.5, 30.0).unwrap(),
        SoftmaxLoss::cross_entropy().with_label_smoothing(0.1),
    ] {
        let data = data(21, 203, TargetKind::Hard, PLAIN);
        for mode in [Mode::LossAndGrad, Mode::ForwardBackward] {
            let with = |storage| go(&spec, &data, Manner { mode, storage, ..Manner::default() });
            let first = with(Storage::Separate);
            for storage in [Storage::Separate, Storage::InPlace, Storage::Shared] {
                let again = with(storage);
                assert_eq!(gpu::bits(&first.gradient), gpu::bits(&again.gradient), "{mode:?} {storage:?}");
                assert_eq!(gpu::bits(&first.row_loss), gpu::bits(&again.row_loss), "{mode:?} {storage:?}");
                assert_eq!(first.loss.to_bits(), again.loss.to_bits(), "{mode:?} {storage:?}");
            }
        }
    }
}

/// Which classes of each row take part, seen through gradients: a gated class has exactly 0, all logits being equal.
fn kept(spec: &SoftmaxLoss, data: &Data, manner: Manner, first_row: u32) -> Vec<bool> {
    let request = request(data, manner).with_first_row(first_row);
    let plan = context().kernels().plan(spec, &request).unwrap();
    let got = pass(context().kernels(), &plan, spec, data, manner).unwrap();
    got.gradient.iter().map(|&g| g != 0.0).collect()
}

#[test]
fn gates_are_the_hosts_bit_for_bit() {
    let (rows, classes) = (40, 61);
    let mut seen = [false; 2];
    for source in [GateSource::Element, GateSource::Sample, GateSource::Class] {
        for (seed, step, first_row) in [(0, 0, 0), (0x9876_5432_10fe_dcba, u64::from(u32::MAX), 1_000_000)] {
            for (lanes, chip) in [(1, 0), (4, 0), (1, 8), (4, 8)] {
                let tail = (0..classes).map(|class| class % 4 != 0).collect();
                let gate = Gate { tail, drop_probability: 0.37, source, seed, step };
                let mut spec = SoftmaxLoss::cross_entropy().with_reduction(Reduction::Sum);
                spec.gate = Some(gate.clone());
                let labels: Vec<i32> = (0..rows).map(|row| (row * 7 % classes) as i32).collect();
                let mut data = data(rows, classes, TargetKind::Hard, &[Flavour::Constant]);
                data.labels = labels;
                let choice = Some(RowChoice::on_chip(lanes, 8, chip));
                let manner = Manner { choice, ..Manner::default() };
                let kept = kept(&spec, &data, manner, first_row);
                for row in 0..rows {
                    for class in 0..classes {
                        let own = data.labels[row] as usize == class;
                        let want = own || gate.keeps(first_row + row as u32, class as u32);
                        assert_eq!(kept[row * classes + class], want, "{source:?} row {row} class {class}");
                        seen[usize::from(want)] = true;
                    }
                }
            }
        }
    }
    assert_eq!(seen, [true; 2]);
}

/// A plan's step counts up by itself, pass by pass, past the low word; set_step sets it.
#[test]
fn gate_steps_count_up() {
    let (rows, classes) = (8, 33);
    let step = u64::from(u32::MAX) - 1;
    let gate = Gate {
        tail: vec![true; classes],
        drop_probability: 0.5,
        source: GateSource::Element,
        seed: 11,
        step,
    };
    let mut spec = SoftmaxLoss::cross_entropy().with_reduction(Reduction::Sum);
    spec.gate = Some(gate.clone());
    let mut data = data(rows, classes, TargetKind::Hard, &[Flavour::Constant]);
    data.labels = vec![0; rows];
    let manner = Manner::default();
    let plan = context().kernels().plan(&spec, &request(&data, manner)).unwrap();
    let check = |step: u64| {
        let got = pass(context().kernels(), &plan, &spec, &data, manner).unwrap();
        let gate = Gate { step, ..gate.clone() };
        for (index, g) in got.gradient.iter().enumerate() {
            let (row, class) = (index / classes, index % classes);
            assert_eq!(
                *g != 0.0,
                class == 0 || gate.keeps(row as u32, class as u32),
                "step {step} {row} {class}"
            );
        }
    };
    for pass in 0..4 {
        check(step + pass);
    }
    plan.set_step(3).unwrap();
    check(3);
    check(4);
}

#[test]
fn device_counts() {
    let classes = 23;
    let start: Vec<u64> = (0..classes as u64).map(|class| class * 10).collect();
    let kernels = context().kernels();
    let mut spec = SoftmaxLoss::seesaw(&counts(classes));
    spec.seesaw.as_mut().unwrap().counts = start.clone();
    let shared = DeviceCounts::new(kernels, &start).unwrap();
    assert_eq!(shared.read().unwrap(), start);
    let small = data(17, classes, TargetKind::Hard, PLAIN);
    let large = data(300, classes, TargetKind::Hard, PLAIN);
    let manner = Manner::default();
    let plans = [&small, &large]
        .map(|data| kernels.plan(&spec, &request(data, manner).with_counts(shared.clone())).unwrap());
    let mut want = start.clone();
    let mut count = |data: &Data| {
        for label in data.labels.iter().filter(|label| **label >= 0) {
            want[*label as usize] += 1;
        }
        want.clone()
    };
    for (plan, data) in [(&plans[0], &small), (&plans[1], &large), (&plans[0], &small)] {
        pass(kernels, plan, &spec, data, manner).unwrap();
        assert_eq!(shared.read().unwrap(), count(data));
    }
    // Past 32 bits: 2^32 - 1 and 17 labels more.
    let edge = u64::from(u32::MAX);
    shared.set(&vec![edge; classes]).unwrap();
    let mut one = small.clone();
    one.labels = vec![5; 17];
    pass(kernels, &plans[0], &spec, &one, manner).unwrap();
    let after = shared.read().unwrap();
    assert_eq!(after[5], edge + 17);
    assert!(after.iter().enumerate().all(|(class, count)| class == 5 || *count == edge));
    // Two replicas that started from the same counts.
    shared.set(&start).unwrap();
    let other: Vec<u64> = start.iter().map(|count| count + 4).collect();
    pass(kernels, &plans[0], &spec, &one, manner).unwrap();
    shared.merge(&other, &start).unwrap();
    let merged = shared.read().unwrap();
    for class in 0..classes {
        assert_eq!(merged[class], start[class] + 4 + if class == 5 { 17 } else { 0 });
    }
    assert!(shared.merge(&other[1..], &start).is_err());
    assert!(shared.set(&[]).is_err());
    assert!(DeviceCounts::new(kernels, &[]).is_err());
}

/// Deferred re-weighting is an update of numbers: other results, the same kernels.
#[test]
fn deferred_reweighting_by_update() {
    let tail = counts(50);
    let before = SoftmaxLoss::ldam(&tail, 0.5, 30.0).unwrap();
    let after = before.clone().with_deferred_reweighting(&tail, 0.9999).unwrap();
    let data = data(16, 50, TargetKind::Hard, PLAIN);
    let manner = Manner::default();
    let kernels = context().kernels();
    let mut plan = kernels.plan(&before, &request(&data, manner)).unwrap();
    let first = pass(kernels, &plan, &before, &data, manner).unwrap();
    let (keys, bytes) = (plan.kernels(), plan.bytes());
    plan.update(&after).unwrap();
    assert_eq!(plan.kernels(), keys);
    assert_eq!(plan.bytes(), bytes + 4 * 50, "a column of class weights");
    let second = pass(kernels, &plan, &after, &data, manner).unwrap();
    assert_ne!(first.gradient, second.gradient);
    assert_eq!(second, go(&after, &data, manner), "as a plan of its own");
    plan.update(&before).unwrap();
    assert_eq!(plan.bytes(), bytes + 4 * 50, "the column stays");
    assert_eq!(pass(kernels, &plan, &before, &data, manner).unwrap(), first);
    // Terms of the inner loops cannot be switched on.
    let refused = plan.update(SoftmaxLoss::balanced(&tail));
    assert!(matches!(refused, Err(longtail::Error::Unexpected { .. })), "{refused:?}");
    assert_eq!(
        pass(kernels, &plan, &before, &data, manner).unwrap(),
        first,
        "a refused update changes nothing"
    );
}

/// Class weights of targets of every class may come later as well: a loss that has none does not load them.
#[test]
fn deferred_reweighting_of_smoothed_labels() {
    let tail = counts(50);
    let before = SoftmaxLoss::ldam(&tail, 0.5, 30.0).unwrap().with_label_smoothing(0.1);
    let after = before.clone().with_deferred_reweighting(&tail, 0.9999).unwrap();
    let data = data(16, 50, TargetKind::Hard, PLAIN);
    let manner = Manner::default();
    let kernels = context().kernels();
    let mut plan = kernels.plan(&before, &request(&data, manner)).unwrap();
    let first = pass(kernels, &plan, &before, &data, manner).unwrap();
    assert_eq!(first, go(&before, &data, manner));
    let bytes = plan.bytes();
    plan.update(&after).unwrap();
    assert_eq!(plan.bytes(), bytes + 4 * 50, "a column of class weights");
    let second = pass(kernels, &plan, &after, &data, manner).unwrap();
    assert_ne!(first.gradient, second.gradient);
    assert_eq!(second, go(&after, &data, manner), "as a plan of its own");
    let (keys, bytes) = (plan.kernels(), plan.bytes());
    plan.update(&before).unwrap();
    assert_eq!((plan.kernels(), plan.bytes()), (keys, bytes), "kernels and column stay");
    assert_eq!(pass(kernels, &plan, &before, &data, manner).unwrap(), first);
}

/// Renaming the classes renames the gradient.
#[test]
fn permuted_classes() {
    let classes = 97;
    let mut draws = Draws::new(8);
    let mut order: Vec<usize> = (0..classes).collect();
    for index in (1..classes).rev() {
        order.swap(index, draws.below(index + 1));
    }
    let tail = counts(classes);
    let renamed = ClassCounts::new(order.iter().map(|&old| tail.counts()[old]).collect::<Vec<_>>()).unwrap();
    let before = data(14, classes, TargetKind::Hard, PLAIN);
    let mut after = before.clone();
    for row in 0..14 {
        for (new, &old) in order.iter().enumerate() {
            after.logits[row * classes + new] = before.logits[row * classes + old];
        }
        if let Ok(label) = usize::try_from(before.labels[row]) {
            after.labels[row] = order.iter().position(|&old| old == label).unwrap() as i32;
        }
    }
    let specs: [fn(&ClassCounts) -> SoftmaxLoss; 3] =
        [SoftmaxLoss::balanced, SoftmaxLoss::seesaw, |counts| {
            SoftmaxLoss::vector_scaling(counts, 0.2, 1.0).unwrap()
        }];
    for spec in specs {
        let (a, b) =
            (go(&spec(&tail), &before, Manner::default()), go(&spec(&renamed), &after, Manner::default()));
        close(&b.row_loss, &a.row_loss, 1e-6, "row loss");
        for row in 0..14 {
            let moved: Vec<f32> = order.iter().map(|&old| a.gradient[row * classes + old]).collect();
            close(&b.gradient[row * classes..][..classes], &moved, 1e-7, "gradient");
        }
    }
}

/// Splitting a batch over plans with `first_row` gives what one plan gives.
#[test]
fn split_batches() {
    let classes = 29;
    let mut spec = SoftmaxLoss::equalization(&counts(classes), 0.05, 0.7, 6, GateSource::Element).unwrap();
    spec.reduction = Reduction::Sum;
    let whole = data(12, classes, TargetKind::Hard, UNIT);
    let manner = Manner { choice: Some(STREAM), ..Manner::default() };
    let all = go(&spec, &whole, manner);
    let mut rest = whole.clone();
    rest.rows = 7;
    rest.logits.drain(..5 * classes);
    rest.labels.drain(..5);
    let plan = context().kernels().plan(&spec, &request(&rest, manner).with_first_row(5)).unwrap();
    let got = pass(context().kernels(), &plan, &spec, &rest, manner).unwrap();
    assert_eq!(gpu::bits(&got.gradient), gpu::bits(&all.gradient[5 * classes..]));
}

/// The upstream gradient multiplies the gradient and leaves the loss alone.
#[test]
fn upstream_gradients_are_factors() {
    let spec = SoftmaxLoss::balanced(&counts(41)).with_reduction(Reduction::None);
    let data = data(10, 41, TargetKind::Hard, PLAIN);
    let with =
        |upstream| go(&spec, &data, Manner { mode: Mode::ForwardBackward, upstream, ..Manner::default() });
    let (one, scalar, rows) = (with(Up::One), with(Up::Scalar(-4.0)), with(Up::PerRow));
    assert_eq!(one.row_loss, scalar.row_loss);
    assert_eq!(one.loss, rows.loss);
    for (index, &g) in one.gradient.iter().enumerate() {
        assert_eq!(scalar.gradient[index], -4.0 * g, "powers of 2 are exact");
        let factor = data.upstream[index / 41];
        assert!((rows.gradient[index] - factor * g).abs() <= 1e-6 * (factor * g).abs());
    }
}

/// Slices through a context are what a plan gives, and a session gives the same for every batch.
#[test]
fn slices_and_plans_agree() {
    let spec = SoftmaxLoss::ldam(&counts(31), 0.5, 30.0).unwrap();
    let data = data(9, 31, TargetKind::Hard, PLAIN);
    let plan = go(&spec, &data, Manner { storage: Storage::InPlace, ..Manner::default() });
    let batch = Batch::new(&data.logits, 31, Targets::Hard(&data.labels));
    let slices = context().loss_and_grad(&spec, &batch).unwrap();
    assert_eq!(slices.gradient, plan.gradient);
    assert_eq!((slices.loss, &slices.row_loss, &slices.argmax), (plan.loss, &plan.row_loss, &plan.argmax));
    let mut session = context().session(&spec, 9, 31, TargetKind::Hard).unwrap();
    for _ in 0..2 {
        assert_eq!(session.loss_and_grad(&batch).unwrap(), slices);
    }
}

/// A random spec of the columns and numbers that go with hard labels, by one kernel.
fn random_spec() -> impl Strategy<Value = SoftmaxLoss> {
    let column = |low: f64, high: f64| prop::collection::vec(low..high, 6);
    (
        (0.1f64..5.0, column(-2.0, 2.0), column(-3.0, 3.0), column(-1.0, 1.0), column(0.0, 4.0)),
        (prop::option::of((0.0f64..4.0, any::<bool>(), any::<bool>())), 0.0f64..1.0, 0.0f64..0.1),
        0usize..6,
    )
        .prop_map(
            |((scale, class_scale, bias, margin, weights), (focal, smoothing, z_loss), reduction)| {
                let mut spec = SoftmaxLoss::cross_entropy().with_class_weights(weights).with_z_loss(z_loss);
                spec.scale = scale;
                spec.class_scale = Some(class_scale);
                spec.bias = Some(bias);
                spec.margin = Some(margin);
                // Above 0: the same kernel for every spec.
                spec.label_smoothing = smoothing.max(1e-3);
                spec.focal =
                    focal.map(|(gamma, detached, weight_inside)| Focal { gamma, detached, weight_inside });
                spec.reduction = [
                    Reduction::None,
                    Reduction::Sum,
                    Reduction::Mean,
                    Reduction::MeanKept,
                    Reduction::WeightedMean,
                    Reduction::Fixed(3.0),
                ][reduction];
                spec
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any combination of numbers gives what the reference gives, to the scale of the row.
    #[test]
    fn random_specs_agree_with_the_reference(
        spec in random_spec(),
        logits in prop::collection::vec(-8.0f32..8.0, 18),
        labels in prop::collection::vec(prop_oneof![0i32..6, Just(-100)], 3),
    ) {
        let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
        let want = longtail::reference::softmax(
            &spec,
            &Batch::new(&wide, 6, Targets::Hard(&labels)),
            longtail::Upstream::One,
        ).unwrap();
        let got = context().loss_and_grad(&spec, &Batch::new(&logits, 6, Targets::Hard(&labels))).unwrap();
        let size = want.gradient.iter().fold(0.0f64, |top, g| top.max(g.abs()));
        for (got, want) in got.gradient.iter().zip(&want.gradient) {
            prop_assert!((f64::from(*got) - want).abs() <= 1e-4 * size + 1e-12, "{got:e} {want:e} {size:e}");
        }
        let size = want.row_loss.iter().fold(want.loss.abs(), |top, loss| top.max(loss.abs()));
        prop_assert!((f64::from(got.loss) - want.loss).abs() <= 1e-4 * size + 1e-12, "{} {}", got.loss, want.loss);
    }
}
