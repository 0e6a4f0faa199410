//! A head and its loss without a way back on the device against the f64 reference: no logit is stored, whatever the head,
//! the loss, the targets and the elements. The error analysis is in `support/forward_case.rs`.

#[path = "support/forward_case.rs"]
mod forward_case;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/head_case.rs"]
mod head_case;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/matrix.rs"]
mod matrix;

use forward_case::ForwardCase;
use gpu::{context, kernels_with, kernels_without_features};
use longtail::gpu::Kernels;
use longtail::gpu::head::{HeadLossRequest, HeadRequest};
use longtail::gpu::matmul::MatrixSpec;
use longtail::head::{ClassScale, Head, HeadLoss, RowNorm, Similarity, TargetMargin};
use longtail::method::{HEADS, SOFTMAX};
use longtail::softmax::GateSource;
use longtail::{Element, Error, SoftmaxLoss, TargetKind};

fn report(cases: usize, least: usize) {
    println!("{cases} cases on the GPU: {}", context().adapter_info().name);
    assert!(cases >= least, "{cases}");
}

/// Every term of a head at once.
fn everything() -> Head {
    let mut head = Head::causal(2, 6.0, 0.25).with_bias().with_margin(TargetMargin::Cosine { margin: 0.25 });
    head.features = RowNorm { power: 0.6, eps: 1e-12, offset: 0.5 };
    head.class_scale = ClassScale::Logits;
    head.similarity = Similarity::NegativeSquaredDistance;
    head.centred = true;
    head
}

fn seesaw(classes: usize) -> SoftmaxLoss {
    SoftmaxLoss::seesaw(&ForwardCase::counts(classes))
}

/// Every softmax method behind a cosine head, and behind a linear one on a device without any feature, which has a tile
/// of its own.
#[test]
fn every_method() {
    let plain = kernels_without_features();
    let kernels: [&Kernels; 2] = [context().kernels(), &plain];
    let heads = [Head::cosine(4.0), Head::linear().with_bias()];
    let mut cases = 0;
    for (turn, (kernels, head)) in kernels.into_iter().zip(heads).enumerate() {
        let case = ForwardCase::new(head, HeadRequest::new(37, 70, 6), turn as u32);
        for method in SOFTMAX {
            let loss = (method.build)(&ForwardCase::counts(70)).unwrap();
            case.check(kernels, method.name, &loss, method.targets, 0);
            cases += 1;
        }
    }
    report(cases, 80);
}

/// Every head behind cross-entropy, and every fourth behind a loss that computes the logits twice: rows and classes that are no multiples of a tile, rows of zeros among them.
#[test]
fn every_head() {
    let kernels = context().kernels();
    let mut cases = 0;
    let table = HEADS.iter().map(|method| (method.name, (method.build)()));
    for (turn, (name, head)) in table.chain([("everything", everything())]).enumerate() {
        let case = ForwardCase::new(head, HeadRequest::new(41, 67, 16), turn as u32);
        case.check(kernels, name, &SoftmaxLoss::cross_entropy(), TargetKind::Hard, 0);
        cases += 1;
        if turn % 4 == 0 || name == "everything" {
            case.check(kernels, name, &seesaw(67), TargetKind::Hard, 0);
            cases += 1;
        }
    }
    report(cases, HEADS.len() + 4);
}

/// Dimensions and shapes around the tiles, whatever the number of workgroups that share a row.
#[test]
fn dimensions_and_shapes() {
    let kernels = context().kernels();
    let mut cases = 0;
    for dim in [1, 3, 64, 257] {
        for (rows, classes, split) in [(1, 1, 0), (3, 33, 1), (32, 64, 2), (65, 129, 3), (100, 31, 0)] {
            for head in [Head::linear(), Head::cosine(2.0)] {
                let case = ForwardCase::new(head, HeadRequest::new(rows, classes, dim), dim as u32);
                let loss = SoftmaxLoss::balanced(&ForwardCase::counts(classes));
                // A softmax of one class has the label alone.
                let plan = case.check(kernels, "balanced", &loss, TargetKind::Hard, split);
                let slots = plan.loss().choice().split;
                assert!(split == 0 || slots == split, "{slots}");
                cases += 1;
            }
        }
    }
    report(cases, 40);
}

/// Elements of every type, rows that begin anywhere.
#[test]
fn every_element() {
    let kernels = context().kernels();
    let mut cases = 0;
    for (turn, elem) in [Element::F32, Element::F16, Element::Bf16].into_iter().enumerate() {
        for (dim, gap, origin) in [(6, 1, 3), (8, 4, 4), (12, 0, 0)] {
            let place = MatrixSpec { elem, stride: dim + gap, origin };
            let request = HeadRequest::new(34, 71, dim);
            let request = request.with_places(place, MatrixSpec { origin: origin + 4, ..place });
            let case = ForwardCase::new(Head::cosface(0.25, 8.0), request, turn as u32);
            case.check(kernels, "cosface", &SoftmaxLoss::cross_entropy(), TargetKind::Hard, 0);
            cases += 1;
        }
    }
    // Weights and features need not be of one type.
    let request = HeadRequest::new(34, 71, 8)
        .with_places(MatrixSpec::new(Element::Bf16), MatrixSpec::new(Element::F16));
    let case = ForwardCase::new(Head::cosine(8.0), request, 5);
    case.check(kernels, "mixed elements", &SoftmaxLoss::focal(2.0), TargetKind::Hard, 0);
    report(cases + 1, 10);
}

/// Targets of every kind, given gates and drawn ones, split and whole.
#[test]
fn every_target() {
    let kernels = context().kernels();
    let counts = ForwardCase::counts(90);
    let gates = |source| SoftmaxLoss::equalization(&counts, 0.05, 0.9, 3, source).unwrap();
    let smooth = SoftmaxLoss::cross_entropy().with_label_smoothing(0.1);
    let mut cases = 0;
    let losses = [
        (SoftmaxLoss::cross_entropy(), TargetKind::Soft),
        (smooth.clone(), TargetKind::Mixed),
        (smooth, TargetKind::Hard),
        (gates(GateSource::Given), TargetKind::Hard),
        (gates(GateSource::Given), TargetKind::Mixed),
        (gates(GateSource::Element), TargetKind::Hard),
        (gates(GateSource::Sample), TargetKind::Mixed),
        (gates(GateSource::Class), TargetKind::Hard),
    ];
    let heads = [Head::cosine(3.0).with_bias(), Head::nearest_class_mean()];
    for (turn, head) in heads.into_iter().enumerate() {
        let case = ForwardCase::new(head, HeadRequest::new(33, 90, 10), turn as u32);
        for (loss, kind) in &losses {
            case.check(kernels, &format!("{kind:?} {:?}", loss.gate), loss, *kind, turn as u32);
            cases += 1;
        }
    }
    report(cases, 16);
}

#[test]
fn fifty_thousand_classes() {
    let kernels = context().kernels();
    let case = ForwardCase::new(Head::cosine(16.0), HeadRequest::new(5, 50_000, 16), 3);
    for (loss, kind) in [(seesaw(50_000), TargetKind::Hard), (SoftmaxLoss::cross_entropy(), TargetKind::Soft)]
    {
        case.check(kernels, "50,000 classes", &loss, kind, 0);
    }
    report(2, 2);
}

/// Weights and features that are larger than a binding: windows over classes add to each other's statistics, and rows go
/// through in chunks. Every term of heads and losses that a window could get wrong.
#[test]
fn ranges_of_classes() {
    let kernels = kernels_with(|limits| limits.max_storage_buffer_binding_size = 8192);
    let counts = ForwardCase::counts(300);
    let losses = [
        (seesaw(300), TargetKind::Hard),
        (SoftmaxLoss::equalization(&counts, 0.05, 0.9, 3, GateSource::Element).unwrap(), TargetKind::Hard),
        (SoftmaxLoss::equalization(&counts, 0.05, 0.9, 3, GateSource::Given).unwrap(), TargetKind::Mixed),
        (SoftmaxLoss::cross_entropy().with_label_smoothing(0.1), TargetKind::Mixed),
        (SoftmaxLoss::cross_entropy(), TargetKind::Soft),
    ];
    let mut cases = 0;
    let mut ncm = Head::nearest_class_mean().with_bias();
    ncm.centred = true;
    for (turn, head) in [Head::cosine(4.0), ncm].into_iter().enumerate() {
        let case = ForwardCase::new(head, HeadRequest::new(150, 300, 16), turn as u32);
        for (loss, kind) in &losses {
            let plan = case.check(&kernels, "ranges", loss, *kind, 0);
            // 7,168 bytes hold 112 classes, or rows, of 64 bytes: in whole 64s 64.
            assert!(plan.head().class_ranges().len() >= 5, "{:?}", plan.loss().windows());
            assert!(plan.chunks().1 >= 3, "{:?}", plan.chunks());
            cases += 1;
        }
    }
    let case = ForwardCase::new(Head::arcface(0.5, 8.0), HeadRequest::new(70, 300, 16), 9);
    case.check(&kernels, "arcface in ranges", &SoftmaxLoss::cross_entropy(), TargetKind::Hard, 0);
    report(cases + 1, 11);
}

/// The longest rows of features: a workgroup computes one tile alone before its loops would be ended.
#[test]
fn the_longest_features() {
    let kernels = context().kernels();
    let case = ForwardCase::new(Head::cosine(4.0), HeadRequest::new(2, 130, 131_072), 6);
    let plan = case.check(kernels, "D 131,072", &SoftmaxLoss::cross_entropy(), TargetKind::Hard, 1);
    println!("{:?}", plan.loss().windows());
    report(1, 1);
}

/// A batch of no rows has a loss of 0.
#[test]
fn no_rows() {
    let kernels = context().kernels();
    for head in [Head::cosine(4.0), everything()] {
        let case = ForwardCase::new(head, HeadRequest::new(0, 70, 8), 6);
        let spec = case.spec(&SoftmaxLoss::cross_entropy());
        let plan = kernels.head_loss(&spec, &case.request(TargetKind::Hard, 0)).unwrap();
        let found = case.run(kernels, &plan, &spec, TargetKind::Hard);
        assert_eq!((found.loss, found.status), (0.0, None));
    }
    report(2, 2);
}

/// Few threads and little memory: the smallest tile.
#[test]
fn the_smallest_tile() {
    let kernels = kernels_with(|limits| {
        limits.max_compute_invocations_per_workgroup = 128;
        limits.max_compute_workgroup_storage_size = 3000;
    });
    let case = ForwardCase::new(Head::cosine(4.0), HeadRequest::new(21, 45, 9), 2);
    for loss in [seesaw(45), SoftmaxLoss::cross_entropy()] {
        case.check(&kernels, "the smallest tile", &loss, TargetKind::Hard, 0);
    }
    report(2, 2);
}

/// Two runs give the same bits, and an update changes numbers without a new plan.
#[test]
fn the_same_bits_and_updates() {
    let kernels = context().kernels();
    let case = ForwardCase::new(Head::arcface(0.5, 8.0), HeadRequest::new(50, 200, 24), 4);
    let spec = case.spec(&SoftmaxLoss::cross_entropy());
    let request = case.request(TargetKind::Hard, 3);
    let mut plan = kernels.head_loss(&spec, &request).unwrap();
    let first = case.run(kernels, &plan, &spec, TargetKind::Hard);
    assert_eq!(first, case.run(kernels, &plan, &spec, TargetKind::Hard));
    let again = kernels.head_loss(&spec, &request).unwrap();
    assert_eq!(first, case.run(kernels, &again, &spec, TargetKind::Hard));
    let mut head = case.head.head.clone().with_scale(4.0);
    head.margin = Head::arcface(0.3, 4.0).margin;
    let other = HeadLoss::new(head, SoftmaxLoss::cross_entropy());
    plan.update(&other).unwrap();
    let changed = case.run(kernels, &plan, &spec, TargetKind::Hard);
    let planned = kernels.head_loss(&other, &request).unwrap();
    assert_eq!(changed, case.run(kernels, &planned, &other, TargetKind::Hard));
    assert_ne!(first, changed);
    plan.update(&spec).unwrap();
    assert_eq!(first, case.run(kernels, &plan, &spec, TargetKind::Hard));
    report(6, 6);
}

/// What a plan has on the device is a number for each row and one for each class, whatever N x K is.
#[test]
fn bytes_of_rows_and_classes() {
    let kernels = context().kernels();
    let bytes = |rows: usize, classes: usize| {
        let spec = HeadLoss::new(Head::cosine(4.0), seesaw(classes));
        let request = HeadLossRequest::new(rows, classes, 512).forward_only();
        let plan = kernels.head_loss(&spec, &request).unwrap();
        assert_eq!(plan.scratch_bytes(), 0);
        assert!(plan.loss().buffers().iter().all(|(_, bytes)| *bytes < 4 * (rows * classes) as u64 / 8));
        plan.bytes()
    };
    let (rows, classes) = (4096, 20_000);
    let [one, tall, wide, both] =
        [(rows, classes), (2 * rows, classes), (rows, 2 * classes), (2 * rows, 2 * classes)]
            .map(|(rows, classes)| bytes(rows, classes));
    let of_rows = tall - one;
    let of_classes = wide - one;
    // Both grow by themselves; together they bring no more than that, and the numbers of their windows.
    let (windows, parameters) = (256, 256);
    assert!(both <= one + of_rows + of_classes + 64 * (windows + parameters), "{one} {tall} {wide} {both}");
    // Some fields of 4 bytes.
    assert!(of_rows / rows as u64 <= 400 && of_classes / classes as u64 <= 100, "{of_rows} {of_classes}");
    report(4, 4);
}

/// What such a plan has no use for is refused, and so are passes of its loss alone.
#[test]
fn what_is_refused() {
    let kernels = context().kernels();
    let wide = HeadLossRequest::new(4, 10, 200_000).forward_only();
    let spec = HeadLoss::new(Head::linear(), SoftmaxLoss::cross_entropy());
    let software = context().adapter_info().device_type == longtail::wgpu::DeviceType::Cpu;
    let planned = kernels.head_loss(&spec, &wide);
    assert_eq!(matches!(planned, Err(Error::Limit { needed: 200_000, .. })), software, "{planned:?}");
    // A row of features that no binding holds.
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 8192);
    let planned = small.head_loss(&spec, &HeadLossRequest::new(4, 10, 3000).forward_only());
    assert!(matches!(planned, Err(Error::Limit { .. })), "{planned:?}");
    // Bad labels and logits are told by row.
    let mut case = ForwardCase::new(Head::linear(), HeadRequest::new(40, 50, 8), 1);
    case.head.labels[35] = 50;
    let plan = kernels.head_loss(&spec, &case.request(TargetKind::Hard, 0)).unwrap();
    let found = case.run(kernels, &plan, &spec, TargetKind::Hard);
    assert!(matches!(found.status, Some(Error::Label { row: 35, rows: 1, .. })), "{:?}", found.status);
    case.head.labels[35] = 4;
    let mut features = case.head.features.values.clone();
    features[34 * 8 + 3] = f64::NAN;
    case.head.features = matrix::Matrix::new(MatrixSpec::default(), 40, 8, features);
    let found = case.run(kernels, &plan, &spec, TargetKind::Hard);
    assert!(matches!(found.status, Some(Error::NonFinite { row: 34, rows: 1, .. })), "{:?}", found.status);
    assert!(found.row_loss[34].is_nan() && found.row_loss[0].is_finite());
    report(2, 2);
}
