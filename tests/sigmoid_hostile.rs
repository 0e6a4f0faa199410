//! Every bad input of the sigmoid family: the named error, or the documented value. Nothing panics.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/sigmoid_cases.rs"]
mod sigmoid_cases;
#[path = "support/sigmoid_keys.rs"]
mod sigmoid_keys;
#[path = "support/sigmoid_tally.rs"]
mod sigmoid_tally;
#[path = "support/sigmoid_tolerance.rs"]
mod sigmoid_tolerance;
#[path = "support/tolerance.rs"]
mod tolerance;

use gpu::{Got, Manner, context, request};
use inputs::{Data, Flavour, Mix};
use longtail::gpu::{Inputs, Mode, Outputs, PlanRequest, RowChoice, Shard, Storage, TargetViews, View};
use longtail::sigmoid::{Focal, Gate, GateSource, Link};
use longtail::{Batch, Error, Reduction, SigmoidLoss, SoftmaxLoss, TargetKind, Targets, Upstream, reference};
use sigmoid_cases::named;
use sigmoid_tally::run;

fn data(rows: usize, classes: usize) -> Data {
    let mix = Mix { seed: 2, flavours: &[Flavour::Unit], ignore: None, row_weights: false };
    Data::new(rows, classes, TargetKind::Hard, mix)
}

fn go(spec: &SigmoidLoss, data: &Data, manner: Manner) -> Got {
    run(context().kernels(), spec, data, manner).unwrap().1
}

fn manners() -> [Manner; 5] {
    let one = Some(RowChoice::stream(1, 4).with_split(2));
    let four = Some(RowChoice::stream(4, 8));
    let down = Some(RowChoice::stream(32, 4).with_split(2));
    [
        Manner { choice: down, ..Manner::default() },
        Manner { choice: four, ..Manner::default() },
        Manner { choice: one, ..Manner::default() },
        Manner { mode: Mode::ForwardBackward, choice: four, ..Manner::default() },
        Manner { mode: Mode::ForwardBackward, choice: one, storage: Storage::InPlace, ..Manner::default() },
    ]
}

/// On the device nobody has looked at the labels: the status names the row, that row is NaN, the others are right.
#[test]
fn bad_labels_on_the_device() {
    let classes = 21;
    let mut cases = 0;
    for spec in [SigmoidLoss::bce(), named("drawn rows").spec(classes), named("softmax link").spec(classes)] {
        let spec = spec.with_reduction(Reduction::Sum);
        for manner in manners() {
            let good = data(7, classes);
            for bad in [-5, classes as i32, i32::MIN, i32::MAX, -2, -1, -4] {
                let mut wrong = good.clone();
                (wrong.labels[3], wrong.labels[6]) = (bad, bad);
                let mut ignored = good.clone();
                (ignored.labels[3], ignored.labels[6]) = (-100, -100);
                let (got, want) = (go(&spec, &wrong, manner), go(&spec, &ignored, manner));
                let status = Error::Label { row: 3, label: None, classes, rows: 2 };
                assert_eq!((got.status, want.status), (Some(status), None), "{bad} {manner:?}");
                assert!(got.loss.is_nan());
                for row in 0..7 {
                    let range = row * classes..(row + 1) * classes;
                    if row == 3 || row == 6 {
                        assert!(got.gradient[range].iter().all(|g| g.is_nan()), "{bad} row {row} {manner:?}");
                        assert!(got.row_loss[row].is_nan());
                    } else {
                        assert_eq!(got.gradient[range.clone()], want.gradient[range], "{bad} {manner:?}");
                        assert_eq!(got.row_loss[row], want.row_loss[row]);
                    }
                }
                cases += 2;
            }
        }
    }
    println!("{cases} GPU cases");
}

/// A sigmoid's classes do not look at each other: the bad element's gradient is NaN, and the row's loss. Under the softmax
/// link the whole row is.
#[test]
fn nan_and_infinite_logits() {
    let classes = 41;
    let mut cases = 0;
    for link in [Link::Sigmoid, Link::Softmax] {
        let mut spec = SigmoidLoss::bce().with_reduction(Reduction::Sum);
        if link == Link::Sigmoid {
            spec.focal = Some(Focal::new(2.0));
        }
        spec.link = link;
        for manner in manners() {
            let good = data(6, classes);
            let want = go(&spec, &good, manner);
            for bad in [f32::NAN, f32::from_bits(0xffc0_0001), f32::from_bits(0x7f80_0001), f32::INFINITY] {
                for column in [0usize, 17, classes - 1] {
                    let mut wrong = good.clone();
                    wrong.logits[4 * classes + column] = bad;
                    let got = go(&spec, &wrong, manner);
                    let status = Error::NonFinite { what: "logits", row: 4, rows: 1 };
                    assert_eq!(got.status, Some(status), "{bad} {column} {manner:?}");
                    assert!(got.loss.is_nan() && got.row_loss[4].is_nan());
                    for (index, g) in got.gradient.iter().enumerate() {
                        let spoilt =
                            index == 4 * classes + column || link == Link::Softmax && index / classes == 4;
                        match spoilt {
                            true => assert!(g.is_nan(), "{bad} {column} {manner:?}: {index} is {g}"),
                            false => assert_eq!(*g, want.gradient[index], "{bad} {column} {manner:?}"),
                        }
                    }
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} GPU cases");
}

/// -inf masks: nothing for a negative, infinity for a positive, and its gradient stays finite. A row of nothing else is
/// legal for sigmoids, not under the softmax link.
#[test]
fn masks() {
    let classes = 9;
    for manner in manners() {
        let mut masked = data(4, classes);
        masked.labels[1] = 3;
        masked.logits[classes + 3] = f32::NEG_INFINITY;
        masked.logits[2 * classes..3 * classes].fill(f32::NEG_INFINITY);
        masked.wide = masked.logits.iter().map(|&z| f64::from(z)).collect();
        let spec = SigmoidLoss::bce().with_reduction(Reduction::Sum);
        let want = reference::sigmoid(&spec, &sigmoid_cases::wide(&spec, &masked), Upstream::One).unwrap();
        let got = go(&spec, &masked, manner);
        assert_eq!((got.status, got.argmax), (None, want.argmax.clone()), "{manner:?}");
        assert_eq!(
            (got.loss, got.row_loss[1], got.row_loss[2]),
            (f32::INFINITY, f32::INFINITY, f32::INFINITY)
        );
        for (got, want) in got.gradient.iter().zip(&want.gradient) {
            assert!((f64::from(*got) - want).abs() <= 1e-6, "{got} {want} {manner:?}");
        }
        let mut spec = spec;
        spec.link = Link::Softmax;
        let got = go(&spec, &masked, manner);
        assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 2, rows: 1 }), "{manner:?}");
        assert!(got.gradient[2 * classes..3 * classes].iter().all(|g| g.is_nan()));
        assert!(got.gradient[..2 * classes].iter().all(|g| g.is_finite()));
        assert!((got.row_loss[1] - 100.0) > 0.0, "a masked positive costs 100 there: {}", got.row_loss[1]);
    }
    println!("8 GPU cases");
}

/// The largest finite logits, and the smallest: finite gradients, the reference's.
#[test]
fn extreme_magnitudes() {
    let rows: [[f32; 4]; 7] = [
        [3e38, -3e38, 0.0, 1.0],
        [-3e38, -3e38, -3e38, -3e38],
        [3e38, 3e38, 3e38, 3e38],
        [1e-40, -1e-40, 0.0, 1e-45],
        [1e4, 1e4 - 1.0, -1e4, 0.0],
        [f32::MAX, f32::MIN, 1.0, 2.0],
        [95.0, 3.0, -90.0, 1.0],
    ];
    let logits: Vec<f32> = rows.iter().flatten().copied().collect();
    let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    let labels = [0, 1, 2, 3, 1, 0, 2];
    for link in [Link::Sigmoid, Link::Softmax] {
        let mut spec = SigmoidLoss::bce().with_reduction(Reduction::None);
        spec.link = link;
        let batch = Batch::new(&wide, 4, Targets::Hard(&labels));
        let want = reference::sigmoid(&spec, &batch, Upstream::One).unwrap();
        let got = context().loss_and_grad(&spec, &Batch::new(&logits, 4, Targets::Hard(&labels))).unwrap();
        for (index, (got, want)) in got.gradient.iter().zip(&want.gradient).enumerate() {
            let size = if link == Link::Softmax { 1e-4 * want.abs() + 1e-3 } else { 1e-6 };
            assert!((f64::from(*got) - want).abs() <= size, "{link:?} {index}: {got} {want}");
        }
        for (got, want) in got.row_loss.iter().zip(&want.row_loss) {
            let overflows = *want > f64::from(f32::MAX) && *got == f32::INFINITY;
            assert!(overflows || (f64::from(*got) - want).abs() <= 1e-5 * want, "{link:?}: {got} {want}");
        }
    }
    println!("2 GPU cases");
}

/// Every row ignored, and no positive at all: 0, not NaN.
#[test]
fn nothing_counts() {
    let mut cases = 0;
    for name in ["bce", "drawn rows", "softmax link", "re-balancing by batch", "gradient balance"] {
        for reduction in sigmoid_cases::REDUCTIONS {
            let spec = named(name).spec(6).with_reduction(reduction);
            let mut ignored = data(5, 6);
            ignored.labels = vec![-100; 5];
            let got = go(&spec, &ignored, Manner::default());
            assert_eq!((got.loss, got.status), (0.0, None), "{name} {reduction:?}");
            assert_eq!((got.row_loss, got.gradient), (vec![0.0; 5], vec![0.0; 30]), "{name} {reduction:?}");
            cases += 1;
        }
    }
    let spec = SigmoidLoss::bce().with_reduction(Reduction::Positives);
    let mut none = Data { kind: TargetKind::MultiHot, ..data(5, 6) };
    none.soft = vec![0.0; 30];
    let got = go(&spec, &none, Manner::default());
    assert_eq!((got.loss, got.gradient), (0.0, vec![0.0; 30]));
    assert!(got.row_loss.iter().all(|loss| *loss > 0.0));
    println!("{} GPU cases", cases + 1);
}

#[test]
fn plans_that_are_refused() {
    let kernels = context().kernels();
    let request = PlanRequest::new(4, 6);
    let spec = SigmoidLoss::bce();
    let shard = request.clone().with_shard(Shard { index: 0, shards: 2, classes: 0..3 });
    assert!(matches!(kernels.plan(&spec, &shard), Err(Error::Combination { .. })));
    let scales = request.clone().with_class_scale_gradient();
    assert!(matches!(kernels.plan(&spec, &scales), Err(Error::Unexpected { .. })));
    for kind in [TargetKind::Mixed, TargetKind::Soft] {
        let wrong = request.clone().with_targets(kind);
        assert!(matches!(kernels.plan(&spec, &wrong), Err(Error::Combination { .. })), "{kind:?}");
    }
    // Columns of another length.
    let short = SigmoidLoss::bce().with_class_weights(vec![1.0; 5]);
    assert!(matches!(kernels.plan(&short, &request), Err(Error::Length { .. })));
    let drawn = named("drawn rows").spec(7);
    assert!(matches!(kernels.plan(&drawn, &request), Err(Error::Length { .. })));
    let hot = PlanRequest::new(4, 7).with_targets(TargetKind::MultiHot);
    assert!(matches!(kernels.plan(&drawn, &hot), Err(Error::Combination { .. })));
    // One generator, one seed.
    let gate =
        Gate { tail: vec![true; 7], drop_probability: 0.5, source: GateSource::Element, seed: 1, step: 0 };
    let two = drawn.with_gate(gate);
    assert!(matches!(kernels.plan(&two, &PlanRequest::new(4, 7)), Err(Error::Combination { .. })));
    // A row that no binding holds, under the softmax link.
    let small = gpu::kernels_with(|limits| limits.max_storage_buffer_binding_size = 1024);
    let linked = named("softmax link").spec(500);
    let error = small.plan(&linked, &PlanRequest::new(2, 500)).unwrap_err();
    assert!(matches!(&error, Error::Limit { what, .. } if what.contains("softmax link")), "{error}");
}

#[test]
fn updates_that_are_refused() {
    let kernels = context().kernels();
    let mut plan = kernels.plan(SigmoidLoss::bce(), &PlanRequest::new(4, 6)).unwrap();
    let unexpected = |result: longtail::Result<()>| assert!(matches!(result, Err(Error::Unexpected { .. })));
    unexpected(plan.update(SigmoidLoss::bce().with_focal(Focal::new(2.0))));
    unexpected(plan.update(named("softmax link").spec(6)));
    unexpected(plan.update(SoftmaxLoss::cross_entropy()));
    plan.update(SigmoidLoss::bce().with_reduction(Reduction::Sum)).unwrap();
    let mut softmax = kernels.plan(SoftmaxLoss::cross_entropy(), &PlanRequest::new(4, 6)).unwrap();
    unexpected(softmax.update(SigmoidLoss::bce()));
    let weights = SigmoidLoss::bce().with_class_weights(vec![1.0; 6]);
    let mut plan = kernels.plan(&weights, &PlanRequest::new(4, 6)).unwrap();
    assert!(matches!(plan.update(weights.with_class_weights(vec![1.0; 7])), Err(Error::Length { .. })));
}

/// An update is a plan made anew.
#[test]
fn updates_change_numbers() {
    let kernels = context().kernels();
    let data = data(9, 14);
    let mut plan = kernels.plan(named("everything").spec(14), &request(&data, Manner::default())).unwrap();
    let mut other = named("everything").spec(14).with_reduction(Reduction::Sum);
    other.scale = 0.5;
    other.negative_factor = 0.25;
    other.class_weights = Some(vec![0.75; 14]);
    plan.update(&other).unwrap();
    let got = sigmoid_tally::pass(kernels, &plan, &other, &data, Manner::default()).unwrap();
    assert_eq!(got, go(&other, &data, Manner::default()));
    // A gamma of 2 has kernels of its own, of any other number one for all.
    let focal = |gamma| SigmoidLoss::bce().with_focal(Focal::new(gamma));
    let mut plan = kernels.plan(focal(2.0), &request(&data, Manner::default())).unwrap();
    for gamma in [1.5, 0.5, 2.0] {
        plan.update(focal(gamma)).unwrap();
        let got = sigmoid_tally::pass(kernels, &plan, &focal(gamma), &data, Manner::default()).unwrap();
        assert_eq!(got, go(&focal(gamma), &data, Manner::default()), "{gamma}");
    }
}

#[test]
fn views_that_are_refused() {
    let kernels = context().kernels();
    let buffers = [0; 6].map(|_| {
        kernels.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 1024,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    });
    let view = |buffer: usize, size: u64| View::new(&buffers[buffer], 0, size);
    let matrix = 4 * 4 * 6;
    let encode = |plan: &longtail::gpu::Plan, inputs: &Inputs<'_>, outputs: &Outputs<'_>| {
        let mut encoder = kernels.device().create_command_encoder(&Default::default());
        plan.encode_loss_and_grad(&mut encoder, inputs, Some(view(1, matrix).into()), None, outputs)
    };
    let none = Outputs::default();
    let hard = Inputs::new(view(0, matrix), TargetViews::Hard(view(2, 16)));
    let hot = Inputs::new(view(0, matrix), TargetViews::MultiHot(view(3, matrix).into()));
    let plan = kernels.plan(SigmoidLoss::bce(), &PlanRequest::new(4, 6)).unwrap();
    encode(&plan, &hard, &none).unwrap();
    assert!(matches!(
        encode(&plan, &hot, &none),
        Err(Error::Unexpected { what: "another kind of targets", .. })
    ));
    let statistics = Outputs { log_sum_exp: Some(view(4, 16)), ..Outputs::default() };
    assert!(matches!(encode(&plan, &hard, &statistics), Err(Error::Unexpected { .. })));
    let statistics = Outputs { target_probability: Some(view(4, 16)), ..Outputs::default() };
    assert!(matches!(encode(&plan, &hard, &statistics), Err(Error::Unexpected { .. })));
    let mut gates = Inputs::new(view(0, matrix), TargetViews::Hard(view(2, 16)));
    gates.gates = Some(view(5, matrix).into());
    assert!(matches!(encode(&plan, &gates, &none), Err(Error::Unexpected { what: "gates", .. })));

    let request = PlanRequest::new(4, 6).with_targets(TargetKind::MultiHot);
    let plan = kernels.plan(SigmoidLoss::bce().with_given_weights(true), &request).unwrap();
    assert!(matches!(encode(&plan, &hot, &none), Err(Error::Missing { what: "gates", .. })));
    let mut gates = Inputs::new(view(0, matrix), TargetViews::MultiHot(view(3, matrix).into()));
    gates.gates = Some(view(5, matrix - 4).into());
    assert!(matches!(encode(&plan, &gates, &none), Err(Error::Length { what: "gates", .. })));
    gates.gates = Some(view(5, matrix).into());
    encode(&plan, &gates, &none).unwrap();
    let mut short = Inputs::new(view(0, matrix), TargetViews::MultiHot(view(3, matrix + 4).into()));
    short.gates = Some(view(5, matrix).into());
    assert!(matches!(encode(&plan, &short, &none), Err(Error::Length { what: "multi-hot targets", .. })));
    // The gradient over what is read.
    let mut same = Inputs::new(view(0, matrix), TargetViews::MultiHot(view(1, matrix).into()));
    same.gates = Some(view(5, matrix).into());
    assert!(matches!(encode(&plan, &same, &none), Err(Error::Overlap { .. })));
}

/// What the host sees of slices.
#[test]
fn slices() {
    let logits = [0.0f32; 12];
    let run = |spec: &SigmoidLoss, batch: &Batch<'_>| context().loss_and_grad(spec, batch).unwrap_err();
    let spec = SigmoidLoss::bce();
    let labels = Batch::new(&logits, 4, Targets::Hard(&[0, 4, 1]));
    assert_eq!(run(&spec, &labels), Error::Label { row: 1, label: Some(4), classes: 4, rows: 1 });
    for bad in [f32::NAN, -0.5, 1.5, f32::INFINITY] {
        let mut hot = [0.5f32; 12];
        hot[7] = bad;
        assert!(matches!(
            run(&spec, &Batch::new(&logits, 4, Targets::MultiHot(&hot))),
            Error::Parameter { name: "a multi-hot target", .. }
        ));
        let mut weights = [1.0f32; 12];
        weights[5] = if bad == 1.5 { -1.5 } else { bad };
        let batch = Batch::new(&logits, 4, Targets::Hard(&[0, 1, 2])).with_gates(&weights);
        let error = run(&SigmoidLoss::bce().with_given_weights(true), &batch);
        assert!(matches!(error, Error::Parameter { name: "a given weight", .. }), "{error}");
    }
    let mut nan = logits;
    nan[6] = f32::NAN;
    let batch = Batch::new(&nan, 4, Targets::Hard(&[0, 1, 2]));
    assert_eq!(run(&spec, &batch), Error::NonFinite { what: "logits", row: 1, rows: 1 });
    let batch = Batch::new(&logits, 4, Targets::Hard(&[0, 1, 2])).with_feature_norms(&[1.0; 3]);
    assert!(matches!(run(&spec, &batch), Error::Unexpected { .. }));
}
