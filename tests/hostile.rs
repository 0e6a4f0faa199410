//! Every bad input: the named error, or the documented value. Nothing panics.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;

use gpu::{Got, Manner, Up, context, request, run};
use inputs::{Data, Flavour, Mix, counts};
use longtail::gpu::{
    Context, Inputs, Kernels, Mode, Outputs, Plan, PlanRequest, RowChoice, Session, Storage, TargetViews,
    View,
};
use longtail::softmax::{Focal, Gate, GateSource, Influence, Seesaw};
use longtail::{Batch, ClassCounts, Error, Reduction, SoftmaxLoss, TargetKind, Targets, Upstream, reference};
use wgpu::BufferUsages;

const STORAGE: BufferUsages = BufferUsages::STORAGE;
const COPIED: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_DST);

fn data(rows: usize, classes: usize) -> Data {
    Data::new(
        rows,
        classes,
        TargetKind::Hard,
        Mix { seed: 2, flavours: &[Flavour::Unit], ignore: None, row_weights: false },
    )
}

fn go(spec: &SoftmaxLoss, data: &Data, manner: Manner) -> Got {
    run(context().kernels(), spec, data, manner).unwrap().1
}

/// Both passes, both row kernels.
fn manners() -> [Manner; 4] {
    let chip = Some(RowChoice::on_chip(1, 8, 4));
    let four = Some(RowChoice::stream(4, 8));
    [
        Manner { choice: four, ..Manner::default() },
        Manner { choice: chip, ..Manner::default() },
        Manner { mode: Mode::ForwardBackward, choice: four, ..Manner::default() },
        Manner { mode: Mode::ForwardBackward, choice: chip, storage: Storage::InPlace, ..Manner::default() },
    ]
}

#[test]
fn no_adapter() {
    let none = pollster::block_on(Context::with_backends(wgpu::Backends::empty()));
    assert!(matches!(none, Err(Error::NoAdapter { .. })), "{none:?}");
    // A backend that this build, or this machine, does not have.
    let absent = if cfg!(target_os = "macos") { wgpu::Backends::DX12 } else { wgpu::Backends::METAL };
    let none = pollster::block_on(Context::with_backends(absent)).unwrap_err();
    assert!(matches!(none, Error::NoAdapter { .. }), "{none:?}");
    assert!(none.to_string().contains("apt-get install mesa-vulkan-drivers"), "{none}");
}

#[test]
fn slices_of_wrong_lengths() {
    let context = context();
    let spec = SoftmaxLoss::cross_entropy();
    let logits = [0.0f32; 12];
    let length = |result: longtail::Result<longtail::gpu::Output>, what: &str| match result {
        Err(Error::Length { what: found, .. }) => assert_eq!(found, what),
        other => panic!("{what}: {other:?}"),
    };
    let labels = [0i32, 1, 2];
    length(context.loss_and_grad(&spec, &Batch::new(&logits[..11], 4, Targets::Hard(&labels))), "logits");
    let batch = Batch::new(&logits, 4, Targets::Hard(&labels));
    length(context.loss_and_grad(&spec, &batch.with_row_weights(&[1.0; 2])), "row weights");
    length(context.forward_backward(&spec, &batch, Upstream::PerRow(&[1.0; 4])), "the upstream gradient");
    let mixed = |second, lambda| Batch::new(&logits, 4, Targets::Mixed { first: &labels, second, lambda });
    length(context.loss_and_grad(&spec, &mixed(&labels[..2], &[0.5; 3])), "second labels");
    length(context.loss_and_grad(&spec, &mixed(&labels, &[0.5; 2])), "lambda");
    length(context.loss_and_grad(&spec, &Batch::new(&logits, 4, Targets::Soft(&[0.1; 13]))), "soft targets");
    let given = SoftmaxLoss::equalization_given();
    length(context.loss_and_grad(&given, &batch.with_gates(&[1.0; 11])), "gates");
    let missing = context.loss_and_grad(&given, &batch);
    assert!(matches!(missing, Err(Error::Missing { what: "gates", .. })), "{missing:?}");
    let unexpected = context.loss_and_grad(&spec, &batch.with_gates(&[1.0; 12]));
    assert!(matches!(unexpected, Err(Error::Unexpected { what: "gates", .. })), "{unexpected:?}");
    let influence = SoftmaxLoss::influence_balanced(&counts(4), 1.0).unwrap();
    let missing = context.loss_and_grad(&influence, &batch);
    assert!(matches!(missing, Err(Error::Missing { what: "feature norms", .. })), "{missing:?}");
    length(context.loss_and_grad(&influence, &batch.with_feature_norms(&[1.0; 2])), "feature norms");
    let mut session = context.session(&spec, 4, 4, TargetKind::Hard).unwrap();
    assert!(matches!(session.loss_and_grad(&batch), Err(Error::Length { what: "rows", .. })));
}

#[test]
fn values_that_are_refused_on_the_host() {
    fn run(spec: &SoftmaxLoss, targets: Targets<'_>, weights: Option<&[f32]>) -> Error {
        let logits = [0.0f32; 12];
        let mut batch = Batch::new(&logits, 4, targets);
        batch.row_weights = weights;
        context().loss_and_grad(spec, &batch).unwrap_err()
    }
    let plain = SoftmaxLoss::cross_entropy();
    for (labels, row, label, rows) in [
        ([0, 4, 1], 1, 4, 1),
        ([-1, -100, 9], 0, -1, 2),
        ([0, 1, i32::MIN], 2, i32::MIN, 1),
        ([0, i32::MAX, 1], 1, i32::MAX, 1),
    ] {
        let want = Error::Label { row, label: Some(i64::from(label)), classes: 4, rows };
        assert_eq!(run(&plain, Targets::Hard(&labels), None), want);
    }
    let kept = SoftmaxLoss::cross_entropy().with_ignore_index(None);
    let want = Error::Label { row: 2, label: Some(-100), classes: 4, rows: 1 };
    assert_eq!(run(&kept, Targets::Hard(&[0, 1, -100]), None), want);
    let parameter = |error: Error, name: &str| match error {
        Error::Parameter { name: found, .. } => assert_eq!(found, name),
        other => panic!("{name}: {other:?}"),
    };
    let labels = [0, 1, 2];
    for bad in [f32::NAN, f32::INFINITY, -1.0] {
        parameter(run(&plain, Targets::Hard(&labels), Some(&[1.0, bad, 1.0])), "a row weight");
        let mut soft = [0.25; 12];
        soft[7] = bad;
        parameter(run(&plain, Targets::Soft(&soft), None), "a soft target");
        let mixed = Targets::Mixed { first: &labels, second: &labels, lambda: &[0.5, bad, 0.5] };
        parameter(run(&plain, mixed, None), "lambda");
    }
    let with = |change: &dyn Fn(&mut SoftmaxLoss)| {
        let mut spec = SoftmaxLoss::cross_entropy();
        change(&mut spec);
        spec
    };
    let column = |value: f64| Some(vec![1.0, value, 1.0, 1.0]);
    for bad in [f64::NAN, f64::INFINITY, 1e39] {
        let refused = [
            ("scale", with(&|spec| spec.scale = bad)),
            ("z_loss", with(&|spec| spec.z_loss = bad)),
            ("label_smoothing", with(&|spec| spec.label_smoothing = bad)),
            ("focal gamma", with(&|spec| spec.focal = Some(Focal::new(bad)))),
            (
                "influence alpha",
                with(&|spec| spec.influence = Some(Influence { alpha: bad, eps: 1.0, detached: true })),
            ),
            ("class_scale", with(&|spec| spec.class_scale = column(bad))),
            ("margin", with(&|spec| spec.margin = column(bad))),
            ("class_weights", with(&|spec| spec.class_weights = column(bad))),
            ("class_smoothing", with(&|spec| spec.class_smoothing = column(bad))),
            ("bias", with(&|spec| spec.bias = column(bad))),
            (
                "seesaw p",
                with(&|spec| {
                    spec.seesaw =
                        Some(Seesaw { p: bad, q: 1.0, eps: 0.0, counts: vec![1; 4], count_batch: true });
                }),
            ),
            (
                "drop_probability",
                with(&|spec| {
                    let source = GateSource::Element;
                    spec.gate =
                        Some(Gate { tail: vec![true; 4], drop_probability: bad, source, seed: 0, step: 0 });
                }),
            ),
        ];
        for (name, spec) in refused {
            parameter(run(&spec, Targets::Hard(&labels), None), name);
        }
    }
    for (name, spec) in [
        ("scale", with(&|spec| spec.scale = 0.0)),
        ("class_weights", with(&|spec| spec.class_weights = column(-1.0))),
        ("label_smoothing", with(&|spec| spec.label_smoothing = 1.5)),
        ("the fixed denominator", with(&|spec| spec.reduction = Reduction::Fixed(0.0))),
    ] {
        parameter(run(&spec, Targets::Hard(&labels), None), name);
    }
    let short = with(&|spec| spec.margin = Some(vec![0.0; 3]));
    assert!(matches!(run(&short, Targets::Hard(&labels), None), Error::Length { what: "margin", .. }));
    let both = with(&|spec| {
        spec.label_smoothing = 0.1;
        spec.class_smoothing = Some(vec![0.1; 4]);
    });
    assert!(matches!(run(&both, Targets::Hard(&labels), None), Error::Combination { .. }));
    let empty = ClassCounts::new(vec![3u64, 0, 1, 2]).unwrap();
    assert!(matches!(SoftmaxLoss::ldam(&empty, 0.5, 30.0), Err(Error::Statistics { class: Some(1), .. })));
    let none = context().loss_and_grad(&plain, &Batch::new(&[], 0, Targets::Hard(&[])));
    assert!(matches!(none, Err(Error::Parameter { .. })), "{none:?}");
}

/// On the device nobody has looked at the labels: the status names the row, that row is NaN, the others are right.
#[test]
fn bad_labels_on_the_device() {
    let classes = 9;
    for bad in [-5, classes as i32, i32::MIN, i32::MAX, -2, -1] {
        for spec in [SoftmaxLoss::cross_entropy(), SoftmaxLoss::seesaw_paper(&counts(classes))] {
            let spec = spec.with_reduction(Reduction::Sum);
            for manner in manners() {
                let good = data(7, classes);
                let mut wrong = good.clone();
                wrong.labels[3] = bad;
                wrong.labels[6] = bad;
                let mut ignored = good.clone();
                (ignored.labels[3], ignored.labels[6]) = (-100, -100);
                let got = go(&spec, &wrong, manner);
                let status = Error::Label { row: 3, label: None, classes, rows: 2 };
                assert_eq!(got.status, Some(status), "{bad} {manner:?}");
                assert!(got.loss.is_nan());
                let want = go(&spec, &ignored, manner);
                assert_eq!(want.status, None);
                for row in 0..7 {
                    let range = row * classes..(row + 1) * classes;
                    if row == 3 || row == 6 {
                        assert!(got.gradient[range].iter().all(|g| g.is_nan()), "{bad} row {row} {manner:?}");
                        assert!(got.row_loss[row].is_nan());
                    } else {
                        assert_eq!(
                            got.gradient[range.clone()],
                            want.gradient[range],
                            "{bad} row {row} {manner:?}"
                        );
                        assert_eq!(got.row_loss[row], want.row_loss[row]);
                    }
                }
            }
        }
    }
}

#[test]
fn second_labels_on_the_device() {
    let mut wrong = Data { kind: TargetKind::Mixed, ..data(5, 6) };
    wrong.second[2] = 6;
    let got = go(&SoftmaxLoss::cross_entropy(), &wrong, Manner::default());
    assert_eq!(got.status, Some(Error::Label { row: 2, label: None, classes: 6, rows: 1 }));
    assert!(got.gradient[12..18].iter().all(|g| g.is_nan()));
    assert!(got.gradient[..12].iter().chain(&got.gradient[18..]).all(|g| g.is_finite()));
}

#[test]
fn nan_and_infinite_logits() {
    let classes = 19;
    for bad in [f32::NAN, f32::from_bits(0xffc0_0001), f32::from_bits(0x7f80_0001), f32::INFINITY] {
        // At the label, elsewhere, in the last column.
        for column in [0usize, 7, classes - 1] {
            for manner in manners() {
                let good = data(6, classes);
                let mut wrong = good.clone();
                wrong.labels[4] = 0;
                wrong.logits[4 * classes + column] = bad;
                let spec = SoftmaxLoss::focal(2.0).with_reduction(Reduction::Sum);
                let got = go(&spec, &wrong, manner);
                let status = Error::NonFinite { what: "logits", row: 4, rows: 1 };
                assert_eq!(got.status, Some(status), "{bad} {column} {manner:?}");
                assert!(got.loss.is_nan() && got.row_loss[4].is_nan());
                let want = go(&spec, &good, manner);
                for (index, g) in got.gradient.iter().enumerate() {
                    if index / classes == 4 {
                        assert!(g.is_nan(), "{bad} {column} {manner:?}: {index} is {g}");
                    } else {
                        assert_eq!(*g, want.gradient[index]);
                    }
                }
            }
        }
    }
    let logits = [0.0, f32::NAN, 1.0, 2.0];
    let got = context()
        .loss_and_grad(SoftmaxLoss::cross_entropy(), &Batch::new(&logits, 2, Targets::Hard(&[0, 1])));
    assert_eq!(got, Err(Error::NonFinite { what: "logits", row: 0, rows: 1 }));
}

#[test]
fn masked_targets_and_masked_rows() {
    let classes = 8;
    for manner in manners() {
        let mut masked = data(4, classes);
        let label = masked.labels[1] as usize;
        masked.logits[classes + label] = f32::NEG_INFINITY;
        masked.wide = masked.logits.iter().map(|&z| f64::from(z)).collect();
        let spec = SoftmaxLoss::cross_entropy().with_reduction(Reduction::Sum);
        let want = reference::softmax(&spec, &masked.wide(&spec), Upstream::One).unwrap();
        let got = go(&spec, &masked, manner);
        assert_eq!(got.status, None);
        assert_eq!((got.row_loss[1], got.loss), (f32::INFINITY, f32::INFINITY), "{manner:?}");
        for (got, want) in got.gradient.iter().zip(&want.gradient) {
            assert!((f64::from(*got) - want).abs() <= 1e-6, "{got} {want} {manner:?}");
        }
        masked.logits[2 * classes..3 * classes].fill(f32::NEG_INFINITY);
        let got = go(&spec, &masked, manner);
        assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 2, rows: 1 }), "{manner:?}");
        assert!(got.gradient[2 * classes..3 * classes].iter().all(|g| g.is_nan()));
        assert!(got.gradient[..2 * classes].iter().all(|g| g.is_finite()));
    }
}

/// The largest finite logits, and the smallest: finite results, the reference's.
#[test]
fn extreme_magnitudes() {
    let rows: [[f32; 4]; 6] = [
        [3e38, -3e38, 0.0, 1.0],
        [-3e38, -3e38, -3e38, -3e38],
        [3e38, 3e38, 3e38, 3e38],
        [1e-40, -1e-40, 0.0, 1e-45],
        [1e4, 1e4 - 1.0, -1e4, 0.0],
        [f32::MAX, f32::MIN, 1.0, 2.0],
    ];
    let logits: Vec<f32> = rows.iter().flatten().copied().collect();
    let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    let labels = [0, 1, 2, 3, 1, 0];
    let spec = SoftmaxLoss::cross_entropy().with_reduction(Reduction::None);
    let want =
        reference::softmax(&spec, &Batch::new(&wide, 4, Targets::Hard(&labels)), Upstream::One).unwrap();
    for both in [false, true] {
        let batch = Batch::new(&logits, 4, Targets::Hard(&labels));
        let got = match both {
            false => context().loss_and_grad(&spec, &batch).unwrap(),
            true => context().forward_backward(&spec, &batch, Upstream::One).unwrap(),
        };
        for (got, want) in got.gradient.iter().zip(&want.gradient) {
            assert!((f64::from(*got) - want).abs() <= 1e-3, "{got} {want}");
        }
        for (got, want) in got.row_loss.iter().zip(&want.row_loss) {
            assert!((f64::from(*got) - want).abs() <= 2e-3, "{got} {want}");
        }
    }
    // A scale that overflows upwards is held at the largest f32.
    let scaled = SoftmaxLoss::ldam(&counts(4), 0.5, 1e10).unwrap().with_reduction(Reduction::None);
    let got = context().loss_and_grad(&scaled, &Batch::new(&logits, 4, Targets::Hard(&labels)));
    // What overflows downwards is a masked class, and a row of nothing else is reported.
    assert_eq!(got, Err(Error::NonFinite { what: "logits", row: 1, rows: 1 }));
}

#[test]
fn nothing_to_do() {
    let reductions = [
        Reduction::None,
        Reduction::Sum,
        Reduction::Mean,
        Reduction::MeanKept,
        Reduction::WeightedMean,
        Reduction::Fixed(2.0),
    ];
    for reduction in reductions {
        for manner in manners() {
            let spec = SoftmaxLoss::balanced(&counts(5)).with_reduction(reduction);
            // No rows.
            let got = go(&spec, &data(0, 5), manner);
            assert_eq!(
                (got.loss.to_bits(), got.gradient.len(), got.status),
                (0, 0, None),
                "{reduction:?} {manner:?}"
            );
            // One class.
            let spec = SoftmaxLoss::cross_entropy().with_reduction(reduction);
            let got = go(&spec, &data(3, 1), manner);
            assert_eq!((got.loss, got.gradient), (0.0, vec![0.0; 3]), "{reduction:?} {manner:?}");
            // Every row ignored.
            for kind in [TargetKind::Hard, TargetKind::Mixed] {
                let mut ignored = Data { kind, ..data(6, 5) };
                ignored.labels = vec![-100; 6];
                ignored.second = vec![-100; 6];
                let spec = SoftmaxLoss::seesaw(&counts(5)).with_reduction(reduction);
                let plain = SoftmaxLoss::focal(2.0).with_label_smoothing(0.1).with_reduction(reduction);
                for spec in
                    [spec, plain].iter().filter(|spec| kind == TargetKind::Hard || spec.seesaw.is_none())
                {
                    let got = go(spec, &ignored, manner);
                    assert_eq!((got.loss, &got.row_loss), (0.0, &vec![0.0; 6]), "{reduction:?} {manner:?}");
                    assert_eq!((got.gradient, got.status), (vec![0.0; 30], None), "{reduction:?} {manner:?}");
                }
            }
        }
    }
    // Counts of 0: seesaw counts them as 1; balanced softmax takes the class out.
    let empty = ClassCounts::new(vec![4u64, 0, 2]).unwrap();
    let mut data = data(2, 3);
    data.labels = vec![0, 2];
    for spec in [SoftmaxLoss::seesaw(&empty), SoftmaxLoss::balanced(&empty)] {
        let want = reference::softmax(&spec, &data.wide(&spec), Upstream::One).unwrap();
        let got = go(&spec, &data, Manner::default());
        assert_eq!(got.status, None);
        for (got, want) in got.gradient.iter().zip(&want.gradient) {
            assert!((f64::from(*got) - want).abs() <= 1e-6, "{got} {want}");
        }
    }
}

/// Buffers for a plan of 4 x 6, each view to be spoilt.
struct Views {
    plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    align: u64,
}

const ROWS: u64 = 4;
const MATRIX: u64 = 4 * 4 * 6;

impl Views {
    fn new(mode: Mode, storage: Storage) -> Self {
        let mut request = PlanRequest::new(4, 6).with_mode(mode).with_storage(storage).with_argmax();
        request.row_weights = true;
        let kernels = context().kernels();
        let plan = kernels.plan(SoftmaxLoss::cross_entropy(), &request).unwrap();
        // Large enough for any offset: logits, labels, row weights, gradient, outputs; then read-only usages.
        let usages = [COPIED, COPIED, COPIED, COPIED, COPIED, BufferUsages::COPY_DST, STORAGE];
        let buffers = usages.map(|usage| buffer(kernels, 4096, usage)).to_vec();
        Self { plan, buffers, align: 256 }
    }

    fn view(&self, buffer: usize, size: u64) -> View<'_> {
        View::new(&self.buffers[buffer], 0, size)
    }

    fn inputs(&self) -> Inputs<'_> {
        let mut inputs = Inputs::new(self.view(0, MATRIX), TargetViews::Hard(self.view(1, 4 * ROWS)));
        inputs.row_weights = Some(self.view(2, 4 * ROWS));
        inputs
    }

    fn outputs(&self) -> Outputs<'_> {
        Outputs { loss: Some(self.view(4, 4)), ..Outputs::default() }
    }

    fn encode(
        &self,
        inputs: &Inputs<'_>,
        gradient: Option<View<'_>>,
        outputs: &Outputs<'_>,
    ) -> longtail::Result<()> {
        let mut encoder = context().kernels().device().create_command_encoder(&Default::default());
        self.plan.encode_loss_and_grad(&mut encoder, inputs, gradient.map(Into::into), None, outputs)
    }

    fn refused(&self, inputs: &Inputs<'_>, gradient: Option<View<'_>>, outputs: &Outputs<'_>) -> Error {
        self.encode(inputs, gradient, outputs).unwrap_err()
    }
}

fn buffer(kernels: &Kernels, size: u64, usage: BufferUsages) -> wgpu::Buffer {
    kernels.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size,
        usage,
        mapped_at_creation: false,
    })
}

#[test]
fn views_of_wrong_lengths_places_and_usages() {
    let v = Views::new(Mode::LossAndGrad, Storage::Separate);
    let gradient = Some(v.view(3, MATRIX));
    v.encode(&v.inputs(), gradient, &v.outputs()).unwrap();
    for (what, expected) in [("logits", MATRIX), ("labels", 4 * ROWS), ("row weights", 4 * ROWS)] {
        for size in [0, expected - 4, expected + 4] {
            let mut inputs = v.inputs();
            match what {
                "logits" => inputs.logits = v.view(0, size).into(),
                "labels" => inputs.targets = TargetViews::Hard(v.view(1, size)),
                _ => inputs.row_weights = Some(v.view(2, size)),
            }
            let want = Error::Length { what, expected, found: size };
            assert_eq!(v.refused(&inputs, gradient, &v.outputs()), want);
        }
        // Past the end of the buffer, and at offsets that overflow.
        for offset in [4096, u64::MAX - 255] {
            let mut inputs = v.inputs();
            match what {
                "logits" => inputs.logits = View { offset, ..v.view(0, MATRIX) }.into(),
                "labels" => inputs.targets = TargetViews::Hard(View { offset, ..v.view(1, 4 * ROWS) }),
                _ => inputs.row_weights = Some(View { offset, ..v.view(2, 4 * ROWS) }),
            }
            let error = v.refused(&inputs, gradient, &v.outputs());
            assert!(
                matches!(error, Error::Length { what: found, found: 4096, .. } if found == what),
                "{error:?}"
            );
        }
    }
    let mut inputs = v.inputs();
    inputs.logits = View { offset: 4, ..v.view(0, MATRIX) }.into();
    let error = v.refused(&inputs, gradient, &v.outputs());
    assert!(
        matches!(error, Error::Alignment { what: "logits", offset: 4, required } if required > 4),
        "{error:?}"
    );
    let outputs = Outputs { loss: Some(View { offset: 2, ..v.view(4, 4) }), ..Outputs::default() };
    let error = v.refused(&v.inputs(), gradient, &outputs);
    assert_eq!(error, Error::Alignment { what: "the loss", offset: 2, required: 4 });

    inputs = v.inputs();
    inputs.logits = v.view(5, MATRIX).into();
    let error = v.refused(&inputs, gradient, &v.outputs());
    assert_eq!(error, Error::BufferUsage { what: "logits", missing: "STORAGE" });
    let outputs = Outputs { loss: Some(v.view(6, 4)), ..Outputs::default() };
    let error = v.refused(&v.inputs(), gradient, &outputs);
    assert_eq!(error, Error::BufferUsage { what: "the loss", missing: "COPY_DST" });

    inputs = v.inputs();
    inputs.row_weights = None;
    assert_eq!(
        v.refused(&inputs, gradient, &v.outputs()),
        Error::Missing { what: "row weights", needed_by: "the plan" }
    );
    inputs = v.inputs();
    inputs.feature_norms = Some(v.view(2, 4 * ROWS));
    assert!(matches!(
        v.refused(&inputs, gradient, &v.outputs()),
        Error::Unexpected { what: "feature norms", .. }
    ));
    inputs = v.inputs();
    inputs.gates = Some(v.view(2, MATRIX).into());
    assert!(matches!(v.refused(&inputs, gradient, &v.outputs()), Error::Unexpected { what: "gates", .. }));
    inputs = v.inputs();
    inputs.targets = TargetViews::Soft(v.view(1, MATRIX).into());
    assert!(matches!(v.refused(&inputs, gradient, &v.outputs()), Error::Unexpected { .. }));
    assert!(matches!(
        v.refused(&v.inputs(), None, &v.outputs()),
        Error::Missing { what: "the gradient", .. }
    ));
}

#[test]
fn views_that_overlap() {
    let v = Views::new(Mode::LossAndGrad, Storage::Separate);
    let overlap = |error: Error, names: (&str, &str)| match error {
        Error::Overlap { first, second, .. } => assert_eq!((first, second), names),
        other => panic!("{names:?}: {other:?}"),
    };
    // The same bytes; the same buffer apart; outputs on inputs, on the gradient, on each other.
    overlap(v.refused(&v.inputs(), Some(v.view(0, MATRIX)), &v.outputs()), ("the gradient", "logits"));
    let apart = View { offset: 4 * v.align, ..v.view(0, MATRIX) };
    overlap(v.refused(&v.inputs(), Some(apart), &v.outputs()), ("the gradient", "logits"));
    let shared = Views::new(Mode::LossAndGrad, Storage::Shared);
    let apart = View { offset: 4 * v.align, ..shared.view(0, MATRIX) };
    shared.encode(&shared.inputs(), Some(apart), &shared.outputs()).unwrap();
    overlap(
        shared.refused(&shared.inputs(), Some(shared.view(0, MATRIX)), &shared.outputs()),
        ("the gradient", "logits"),
    );
    let gradient = Some(v.view(3, MATRIX));
    let loss = |view| Outputs { loss: Some(view), ..Outputs::default() };
    overlap(v.refused(&v.inputs(), gradient, &loss(v.view(0, 4))), ("the loss", "logits"));
    overlap(v.refused(&v.inputs(), gradient, &loss(v.view(1, 4))), ("the loss", "labels"));
    overlap(v.refused(&v.inputs(), gradient, &loss(v.view(2, 4))), ("the loss", "row weights"));
    overlap(v.refused(&v.inputs(), gradient, &loss(v.view(3, 4))), ("the loss", "the gradient"));
    let both = Outputs { row_loss: Some(v.view(4, 4 * ROWS)), ..v.outputs() };
    overlap(v.refused(&v.inputs(), gradient, &both), ("the loss", "row losses"));
    // Over the caller's labels and weights, which the prepare kernel has read by then.
    overlap(v.refused(&v.inputs(), Some(v.view(1, MATRIX)), &v.outputs()), ("the gradient", "labels"));
    overlap(v.refused(&v.inputs(), Some(v.view(2, MATRIX)), &v.outputs()), ("the gradient", "row weights"));
    // The gradient of the class scales, over the loss, over the gradient.
    let spec = SoftmaxLoss::learnable_scaling(vec![1.0; 6]);
    let scaled = PlanRequest::new(4, 6).with_class_scale_gradient();
    let scaled = context().kernels().plan(&spec, &scaled).unwrap();
    let mut inputs = v.inputs();
    inputs.row_weights = None;
    for (buffer, names) in [
        (4, ("the loss", "the class scales' gradient")),
        (3, ("the class scales' gradient", "the gradient")),
        (0, ("the class scales' gradient", "logits")),
    ] {
        let mut encoder = context().kernels().device().create_command_encoder(&Default::default());
        let scales = Some(v.view(buffer, 24));
        let result = scaled.encode_loss_and_grad(
            &mut encoder,
            &inputs,
            gradient.map(Into::into),
            scales,
            &v.outputs(),
        );
        overlap(result.unwrap_err(), names);
    }
    let in_place = Views::new(Mode::LossAndGrad, Storage::InPlace);
    in_place.encode(&in_place.inputs(), None, &in_place.outputs()).unwrap();
    let mut inputs = in_place.inputs();
    inputs.targets = TargetViews::Hard(in_place.view(0, 4 * ROWS));
    overlap(in_place.refused(&inputs, None, &in_place.outputs()), ("the gradient", "labels"));
    let error = in_place.refused(&in_place.inputs(), Some(in_place.view(3, MATRIX)), &in_place.outputs());
    assert!(matches!(error, Error::Unexpected { what: "a gradient view", .. }), "{error:?}");
}

#[test]
fn passes_of_another_mode() {
    let fused = Views::new(Mode::LossAndGrad, Storage::Separate);
    let parts = Views::new(Mode::ForwardBackward, Storage::Separate);
    let error = parts.refused(&parts.inputs(), Some(parts.view(3, MATRIX)), &parts.outputs());
    assert!(matches!(error, Error::Unexpected { what: "a fused pass", .. }), "{error:?}");
    let mut encoder = context().kernels().device().create_command_encoder(&Default::default());
    let error = fused.plan.encode_forward(&mut encoder, &fused.inputs(), &fused.outputs()).unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }), "{error:?}");
    for size in [0, 8, 4 * ROWS + 4] {
        let gradient = Some(parts.view(3, MATRIX).into());
        let upstream = Some(parts.view(2, size));
        let error =
            parts.plan.encode_backward(&mut encoder, &parts.inputs(), upstream, gradient, None).unwrap_err();
        assert!(matches!(error, Error::Length { what: "the upstream gradient", .. }), "{error:?}");
    }
    let scales = parts.plan.encode_backward(
        &mut encoder,
        &parts.inputs(),
        None,
        Some(parts.view(3, MATRIX).into()),
        Some(parts.view(4, 24)),
    );
    assert!(matches!(scales, Err(Error::Unexpected { .. })), "{scales:?}");
}

/// Plans that a device cannot have.
#[test]
fn requests_that_are_refused() {
    let kernels = context().kernels();
    let spec = SoftmaxLoss::cross_entropy();
    let refused = |request: PlanRequest| kernels.plan(&spec, &request).unwrap_err();
    assert!(matches!(refused(PlanRequest::new(1, 0)), Error::Parameter { .. }));
    let strides = PlanRequest::new(2, 6).with_strides(5, 6);
    assert!(matches!(refused(strides), Error::Parameter { name: "logits_stride", value: 5.0, .. }));
    let choice = |lanes, workgroup, chip| {
        PlanRequest::new(2, 6).with_choice(RowChoice::on_chip(lanes, workgroup, chip))
    };
    assert!(matches!(refused(choice(2, 8, 0)), Error::Parameter { .. }));
    assert!(matches!(refused(choice(1, 7, 0)), Error::Parameter { .. }));
    assert!(matches!(refused(choice(1, 0, 0)), Error::Parameter { .. }));
    assert!(matches!(refused(choice(1, 1, 4)), Error::Parameter { name: "columns on chip", .. }));
    let most = kernels.device().limits().max_compute_invocations_per_workgroup;
    match refused(choice(1, 1 << 20, 0)) {
        Error::Limit { needed, allowed, .. } => assert_eq!((needed, allowed), (1 << 20, u64::from(most))),
        other => panic!("{other:?}"),
    }
    for (rows, classes) in [(usize::MAX / 2, 3), (1 << 32, 3), (1 << 31, 1), (3, 1 << 31), (3, usize::MAX)] {
        let error = refused(PlanRequest::new(rows, classes));
        assert!(matches!(error, Error::Limit { .. }), "{rows} x {classes}: {error:?}");
    }
    let shared = longtail::gpu::DeviceCounts::new(kernels, &[1, 2, 3]).unwrap();
    let seesaw = SoftmaxLoss::seesaw(&counts(4));
    let error = kernels.plan(&seesaw, &PlanRequest::new(2, 4).with_counts(shared)).unwrap_err();
    assert!(matches!(error, Error::Length { expected: 4, found: 3, .. }), "{error:?}");
}

fn adapter() -> wgpu::Adapter {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    pollster::block_on(instance.request_adapter(&Default::default())).unwrap()
}

/// A device of its own, with limits of our choice.
fn device(change: impl FnOnce(&mut wgpu::Limits)) -> (wgpu::Device, wgpu::Queue) {
    device_of(&adapter(), change)
}

fn device_of(adapter: &wgpu::Adapter, change: impl FnOnce(&mut wgpu::Limits)) -> (wgpu::Device, wgpu::Queue) {
    let mut limits = adapter.limits();
    change(&mut limits);
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    pollster::block_on(adapter.request_device(&descriptor)).unwrap()
}

#[test]
fn small_limits() {
    let (own, queue) = device(|limits| limits.max_storage_buffers_per_shader_stage = 5);
    let error = Kernels::new(&own, &queue).unwrap_err();
    assert!(matches!(error, Error::Limit { needed: 8, allowed: 5, .. }), "{error:?}");

    let (own, queue) = device(|limits| {
        limits.max_storage_buffer_binding_size = 64 << 10;
        limits.max_compute_invocations_per_workgroup = 128;
        limits.max_compute_workgroup_size_x = 128;
        limits.max_compute_workgroup_storage_size = 4 << 10;
        limits.max_compute_workgroups_per_dimension = 4;
    });
    let kernels = Kernels::new(&own, &queue).unwrap();
    let spec = SoftmaxLoss::cross_entropy();
    let limit = |request: PlanRequest, numbers: (u64, u64)| match kernels.plan(&spec, &request).unwrap_err() {
        Error::Limit { needed, allowed, .. } => assert_eq!((needed, allowed), numbers),
        other => panic!("{other:?}"),
    };
    let choice = |lanes, workgroup| PlanRequest::new(2, 6).with_choice(RowChoice::stream(lanes, workgroup));
    limit(choice(1, 256), (256, 128));
    match kernels.plan(&spec, &choice(4, 128)).unwrap_err() {
        Error::Limit { needed, allowed: 4096, .. } => assert!(needed > 4096),
        other => panic!("{other:?}"),
    }
    // Everything else runs, in windows: 70 KiB of logits in bindings of 64, 17 rows on a grid of 4 x 4.
    let manner = Manner { choice: Some(RowChoice::stream(1, 8)), ..Manner::default() };
    for (rows, classes, windows) in [(13, 50, 1), (17, 1024, 2), (17, 50, 2)] {
        let rows = data(rows, classes);
        let (plan, got) = run(&kernels, &spec, &rows, manner).unwrap();
        assert_eq!(plan.windows(), (windows, 1));
        assert_eq!(got.gradient, go(&spec, &rows, manner).gradient);
        assert!((got.loss - go(&spec, &rows, manner).loss).abs() <= 1e-6 * got.loss);
    }
}

/// A destroyed device: typed errors from everything that is asked of it.
#[test]
fn a_destroyed_device() {
    let (own, queue) = device(|_| {});
    let kernels = Kernels::new(&own, &queue).unwrap();
    let spec = SoftmaxLoss::seesaw(&counts(6));
    let mut plan = kernels.plan(&spec, &PlanRequest::new(4, 6)).unwrap();
    let buffers = [COPIED; 3].map(|usage| buffer(&kernels, 4096, usage));
    let mut encoder = own.create_command_encoder(&Default::default());
    own.destroy();
    let lost = |what: &str, result: longtail::Result<()>| {
        let typed = matches!(result, Err(Error::DeviceLost { .. } | Error::Device { .. }));
        assert!(typed, "{what}: {result:?}");
    };
    lost("status", plan.status());
    // Writes to a lost device vanish without a word from wgpu, so these may succeed; what follows them cannot.
    let _ = plan.update(&spec);
    let _ = plan.set_step(1);
    lost("counts", plan.counts().unwrap().read().map(drop));
    lost("plan", kernels.plan(SoftmaxLoss::focal(1.0), &PlanRequest::new(5, 7)).map(drop));
    let inputs =
        Inputs::new(View::new(&buffers[0], 0, MATRIX), TargetViews::Hard(View::new(&buffers[1], 0, 16)));
    let gradient = Some(View::new(&buffers[2], 0, MATRIX).into());
    // An encoder only fails once it is finished or submitted, which is the caller's.
    let _ = plan.encode_loss_and_grad(&mut encoder, &inputs, gradient, None, &Outputs::default());
}

/// The same for slices: a session whose device is gone.
#[test]
fn a_session_on_a_destroyed_device() {
    let (own, queue) = device(|_| {});
    let kernels = Kernels::new(&own, &queue).unwrap();
    let mut session = Session::of(&kernels, SoftmaxLoss::cross_entropy(), &PlanRequest::new(1, 2)).unwrap();
    let batch = Batch::new(&[0.5, 1.5][..], 2, Targets::Hard(&[0]));
    assert!(session.loss_and_grad(&batch).is_ok());
    own.destroy();
    let result = session.loss_and_grad(&batch);
    assert!(matches!(result, Err(Error::DeviceLost { .. } | Error::Device { .. })), "{result:?}");
}

/// A buffer of another device is refused, not a panic. Both devices are of one instance: wgpu cannot tell the buffers
/// of two instances apart.
#[test]
fn a_buffer_of_another_device() {
    let adapter = adapter();
    let ((own, queue), (other, other_queue)) = (device_of(&adapter, |_| {}), device_of(&adapter, |_| {}));
    let kernels = Kernels::new(&own, &queue).unwrap();
    let foreign = Kernels::new(&other, &other_queue).unwrap();
    let plan = kernels.plan(SoftmaxLoss::cross_entropy(), &PlanRequest::new(4, 6)).unwrap();
    let buffers = [COPIED; 2].map(|usage| buffer(&kernels, 4096, usage));
    let foreign = buffer(&foreign, 4096, COPIED);
    let labels = TargetViews::Hard(View::new(&buffers[0], 0, 4 * ROWS));
    let gradient = Some(View::new(&buffers[1], 0, MATRIX).into());
    let mut encoder = own.create_command_encoder(&Default::default());
    let inputs = Inputs::new(View::new(&foreign, 0, MATRIX), labels);
    let result = plan.encode_loss_and_grad(&mut encoder, &inputs, gradient, None, &Outputs::default());
    assert!(matches!(result, Err(Error::Device { .. })), "{result:?}");
}

/// An upstream gradient of NaN is the caller's: it reaches the gradient of its own row only.
#[test]
fn upstream_of_nan() {
    let mut rows = data(3, 5);
    rows.upstream = vec![1.0, f32::NAN, 1.0];
    let manner = Manner { mode: Mode::ForwardBackward, upstream: Up::PerRow, ..Manner::default() };
    let got = go(&SoftmaxLoss::cross_entropy(), &rows, manner);
    assert_eq!(got.status, None, "the forward pass knows nothing of it");
    assert!(got.gradient[5..10].iter().all(|g| g.is_nan()));
    assert!(got.gradient[..5].iter().chain(&got.gradient[10..]).all(|g| g.is_finite()));
    // The request is the one that a batch makes.
    assert!(request(&rows, manner).mode == Mode::ForwardBackward);
}

/// A gated class far above the others leaves no trace: neither an overflow nor a mass that drowns the rest.
#[test]
fn a_gated_class_far_above_the_rest() {
    let context = context();
    let logits = [0.5, 300.0, -1.0, 0.25, 2.0, -250.0];
    let gates = [1.0, 0.0, 1.0, 1.0, 1.0, 1.0];
    let batch = Batch::new(&logits[..], 6, Targets::Hard(&[3])).with_gates(&gates);
    let out = context.loss_and_grad(SoftmaxLoss::equalization_given(), &batch).unwrap();
    let kept = [0.5f64, -1.0, 0.25, 2.0, -250.0];
    let sum: f64 = kept.iter().map(|z| z.exp()).sum();
    assert!((f64::from(out.loss) - (sum.ln() - 0.25)).abs() < 1e-6, "{}", out.loss);
    assert_eq!(out.gradient[1], 0.0);
    assert!((f64::from(out.gradient[4]) - 2f64.exp() / sum).abs() < 1e-6);
}
