//! Distillation with a base in the same passes, against the f64 reference: every kind of base, both reductions, experts,
//! element types, layouts, windows and hostile rows.

#[path = "support/distillation_case.rs"]
mod distillation_case;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/mutants.rs"]
mod mutants;
#[path = "support/tolerance.rs"]
mod tolerance;

use distillation_case::Case;
use gpu::{Manner, Up, context, kernels_with};
use inputs::{Data, Flavour, Mix, counts, rounded};
use longtail::distillation::Expert;
use longtail::gpu::distillation::DistillationDriver;
use longtail::gpu::{DeviceCounts, Mode, Program, RowChoice, Storage};
use longtail::softmax::{GateSource, SmoothingShape};
use longtail::{ClassCounts, DistillationLoss, Element, Error, Reduction, SoftmaxLoss, TargetKind};

const ELEMENTS: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];
const REDUCTIONS: [Reduction; 6] = [
    Reduction::None,
    Reduction::Sum,
    Reduction::Mean,
    Reduction::MeanKept,
    Reduction::WeightedMean,
    Reduction::Fixed(7.5),
];

/// Bases that go along, each with terms of its own.
fn bases(classes: usize) -> Vec<SoftmaxLoss> {
    let counts = counts(classes);
    let weights =
        |seed: usize| (0..classes).map(|class| 0.25 * ((class + seed) % 9) as f64).collect::<Vec<_>>();
    let mut masked = SoftmaxLoss::balanced(&counts);
    if let (Some(bias), true) = (&mut masked.bias, classes > 5) {
        // Labels that are taken out are dear; the last class is no label of most rows.
        bias[classes - 2] = -40.0;
    }
    let last = classes.saturating_sub(1).max(1) as f64;
    let scales = (0..classes).map(|class| 0.5 + class as f64 / last).collect::<Vec<_>>();
    let mut sums_of_terms = SoftmaxLoss::seesaw(&counts).with_label_smoothing(0.2);
    sums_of_terms.bias = SoftmaxLoss::logit_adjusted(&counts, 1.0).unwrap().bias;
    let list = vec![
        SoftmaxLoss::default(),
        SoftmaxLoss::weighted(weights(3)),
        masked,
        SoftmaxLoss::prior_ce(&counts).with_class_weights(weights(1)).with_reduction(Reduction::WeightedMean),
        SoftmaxLoss::class_balanced(&counts, 0.99).unwrap(),
        SoftmaxLoss::focal(2.0),
        SoftmaxLoss::ldam(&counts, 0.5, 10.0).unwrap(),
        SoftmaxLoss::vector_scaling(&counts, 0.15, 1.0).unwrap(),
        SoftmaxLoss::learnable_scaling(scales).with_label_smoothing(0.1).with_class_weights(weights(2)),
        SoftmaxLoss::label_aware_smoothing(&counts, 0.3, 0.0, SmoothingShape::Concave).unwrap(),
        SoftmaxLoss::logit_adjusted(&counts, 1.0).unwrap().with_z_loss(1e-2).with_temperature(2.0),
        SoftmaxLoss::balanced(&counts).with_label_smoothing(0.2),
        SoftmaxLoss::equalization(&counts, 0.05, 0.5, 11, GateSource::Element).unwrap(),
        SoftmaxLoss::equalization(&counts, 0.1, 0.5, 12, GateSource::Sample).unwrap().with_z_loss(1e-2),
        SoftmaxLoss::equalization_given().with_temperature(0.5),
        SoftmaxLoss::seesaw(&counts).with_temperature(0.5),
        SoftmaxLoss::seesaw_paper(&counts).with_label_smoothing(0.1),
        seesaw(&counts, 0.0, 1.5),
        seesaw(&counts, 0.8, 0.0),
        sums_of_terms,
    ];
    list.into_iter().map(rounded).collect()
}

/// Seesaw with one of its two factors alone, in a batch that is counted.
fn seesaw(counts: &ClassCounts, p: f64, q: f64) -> SoftmaxLoss {
    let mut spec = SoftmaxLoss::seesaw(counts);
    let terms = spec.seesaw.as_mut().unwrap();
    (terms.p, terms.q) = (p, q);
    spec
}

/// One teacher, experts for all classes out of order, and experts for some.
fn divergences(classes: usize) -> [DistillationLoss; 3] {
    let of = |rests: &[u32]| -> Vec<u32> {
        (0..classes as u32).rev().filter(|class| rests.contains(&(class % 4))).collect()
    };
    let experts = |list: [(&[u32], f64); 3]| -> Vec<Expert> {
        let list = list.map(|(rests, weight)| Expert::new(of(rests)).with_weight(weight));
        list.into_iter().filter(|expert| !expert.classes.is_empty()).collect()
    };
    [
        DistillationLoss::hinton(2.5).with_teacher_power(0.5).with_weight(0.75),
        DistillationLoss::lfme(experts([(&[1], 1.0), (&[0, 2], 0.5), (&[3], 2.0)])),
        DistillationLoss::lfme(experts([(&[3], 0.0), (&[0], 1.5), (&[], 1.0)])).with_squared(true),
    ]
}

fn data(rows: usize, classes: usize, kind: TargetKind, turn: usize) -> Data {
    const PLAIN: &[Flavour] = &[Flavour::Unit, Flavour::Spread, Flavour::Masked, Flavour::Trained];
    let mix = Mix { flavours: PLAIN, row_weights: turn % 2 == 1, ..Mix::new(turn as u32) };
    let mut data = Data::new(rows, classes, kind, mix);
    // Some class of each expert stays.
    for (index, z) in data.logits.iter_mut().enumerate().filter(|(index, _)| index % classes < 4) {
        *z = if z.is_finite() { *z } else { (index % 3) as f32 };
    }
    data.wide = data.logits.iter().map(|&z| z.into()).collect();
    data
}

/// The manner of a turn.
fn manner(turn: usize) -> Manner {
    let storage = [Storage::Separate, Storage::InPlace, Storage::Shared, Storage::InPlace][turn % 4];
    let mode = [Mode::LossAndGrad, Mode::ForwardBackward, Mode::ForwardBackward][turn % 3];
    let choice = [None, None, Some(RowChoice::stream(4, 8)), Some(RowChoice::stream(1, 4).with_split(2))];
    Manner {
        storage,
        mode,
        choice: choice[turn % 4],
        gaps: [(0, 0), (3, 1), (1, 0), (0, 2)][(turn / 2) % 4],
        upstream: [Up::One, Up::PerRow, Up::Scalar(-2.5)][turn % 3],
        argmax: turn % 5 != 1,
        elements: (ELEMENTS[turn % 3], ELEMENTS[(turn / 3) % 3]),
        block: [0, 0, 3][turn % 3],
        ..Manner::default()
    }
}

#[test]
fn every_base() {
    let kernels = context().kernels();
    let mut cases = 0;
    for (rows, classes) in [(5, 7), (9, 67)] {
        for (index, base) in bases(classes).into_iter().enumerate() {
            for (number, spec) in divergences(classes).into_iter().enumerate() {
                let turn = 5 * index + 7 * number + classes;
                // One of the divergences for short rows, and for bases whose terms stand in the class alone.
                if (classes == 7 || index > 11) && index % 3 != number {
                    continue;
                }
                let mixed = turn % 3 == 0 && base.seesaw.is_none();
                let kind = if mixed { TargetKind::Mixed } else { TargetKind::Hard };
                let reduction = REDUCTIONS[(turn / 2) % 6];
                let own = base.reduction;
                let spec =
                    spec.with_reduction(reduction).with_base(Some(base.clone().with_reduction(own)), 0.5);
                let mut case = Case::new(spec, data(rows, classes, kind, turn));
                case.element = (turn % 4 == 1).then_some(ELEMENTS[(turn / 4) % 3]);
                let manner = manner(turn);
                if manner.storage != Storage::InPlace && turn % 2 == 0 {
                    case = case.with_old();
                }
                case.check(kernels, manner);
                cases += 1;
            }
        }
    }
    println!("{cases} cases on the adapter");
    assert_eq!(cases, 20 + 12 * 3 + 8);
}

/// Soft targets: a matrix beside the teacher's.
#[test]
fn soft_targets() {
    let kernels = context().kernels();
    let mut cases = 0;
    for (rows, classes) in [(5, 7), (9, 67)] {
        let counts = counts(classes);
        let weights: Vec<f64> = (0..classes).map(|class| 0.25 * (1 + class % 5) as f64).collect();
        let bases = [
            SoftmaxLoss::default(),
            SoftmaxLoss::weighted(weights).with_label_smoothing(0.2).with_temperature(1.5),
            SoftmaxLoss::balanced(&counts).with_z_loss(1e-2),
            SoftmaxLoss::vector_scaling(&counts, 0.15, 1.0).unwrap(),
        ];
        for (index, base) in bases.into_iter().map(rounded).enumerate() {
            for (number, spec) in divergences(classes).into_iter().enumerate() {
                if (index + classes) % 3 != number {
                    continue;
                }
                let turn = 5 * index + 7 * number + classes;
                let spec = spec.with_reduction(REDUCTIONS[(turn / 2) % 6]).with_base(Some(base.clone()), 0.5);
                let mut case = Case::new(spec, data(rows, classes, TargetKind::Soft, turn));
                case.element = (turn % 4 == 1).then_some(ELEMENTS[(turn / 4) % 3]);
                let manner = manner(turn);
                if manner.storage != Storage::InPlace && turn % 2 == 0 {
                    case = case.with_old();
                }
                case.check(kernels, manner);
                cases += 1;
            }
        }
    }
    println!("{cases} cases on the adapter");
    assert_eq!(cases, 2 * 4);
}

/// Each part has its own denominator, whatever the other's is: one plan, updated.
#[test]
fn two_denominators() {
    let kernels = context().kernels();
    let classes = 5;
    let mut cases = 0;
    for kind in [TargetKind::Hard, TargetKind::Mixed] {
        let manner = Manner::default();
        let base = rounded(SoftmaxLoss::weighted([0.5, 2.0, 0.0, 1.0, 3.0]));
        let plain = DistillationLoss::hinton(2.0).with_base(Some(base.clone()), 0.75);
        let mut case = Case::new(plain.clone(), data(11, classes, kind, 1));
        let mut plan = case.plan(kernels, manner).unwrap();
        for of_base in REDUCTIONS {
            for of_divergence in REDUCTIONS {
                let base = base.clone().with_reduction(of_base);
                case.spec = plain.clone().with_base(Some(base), 0.75).with_reduction(of_divergence);
                plan.update(&case.spec).unwrap();
                let got = case.pass(kernels, &plan, manner).unwrap();
                case.compare(&plan, manner, &got);
                cases += 1;
            }
        }
        // None counts.
        case.spec = plain.with_reduction(Reduction::MeanKept);
        case.data.labels.fill(-100);
        case.data.second.fill(-100);
        plan.update(&case.spec).unwrap();
        let got = case.pass(kernels, &plan, manner).unwrap();
        assert_eq!(got.loss, 0.0);
        assert!(got.gradient.iter().chain(&got.row_loss).all(|value| *value == 0.0));
        case.compare(&plan, manner, &got);
    }
    println!("{cases} cases on the adapter");
    assert_eq!(cases, 2 * 36);
}

/// More rows than one sum has, and none.
#[test]
fn many_rows_and_none() {
    let kernels = context().kernels();
    let base = rounded(SoftmaxLoss::weighted([0.5, 2.0, 1.0]));
    let spec = DistillationLoss::hinton(2.0).with_base(Some(base), 0.5).with_reduction(Reduction::MeanKept);
    let case = Case::new(spec.clone(), data(8200, 3, TargetKind::Hard, 1));
    case.check(kernels, Manner::default());
    let none = Case::new(spec, data(0, 3, TargetKind::Hard, 1));
    assert_eq!(none.run(kernels, Manner::default()).unwrap().1.loss, 0.0);
}

/// Rows in several windows, which begin in the middle of words, in place and elsewhere.
#[test]
fn windows() {
    let kernels = kernels_with(|limits| limits.max_storage_buffer_binding_size = 4096);
    let classes = 37;
    let mut most = 0;
    for (index, base) in bases(classes).into_iter().enumerate().filter(|(index, _)| index % 3 == 2) {
        for (number, spec) in divergences(classes).into_iter().enumerate() {
            let spec = spec.with_base(Some(base.clone()), 1.5).with_reduction(REDUCTIONS[3 + number]);
            let mut case = Case::new(spec, data(61, classes, TargetKind::Hard, index + number));
            case.element = [None, Some(Element::Bf16)][number % 2];
            let manner = Manner {
                storage: [Storage::InPlace, Storage::Separate][(index / 3 + number) % 2],
                elements: (ELEMENTS[index % 3], ELEMENTS[number]),
                gaps: (number, 1),
                ..Manner::default()
            };
            most = most.max(case.plan(&kernels, manner).unwrap().windows().0);
            case.check(&kernels, manner);
        }
    }
    assert!(most >= 3, "{most}");
}

/// Rows of many classes, whose stretches are summed apart.
#[test]
fn long_rows() {
    let kernels = context().kernels();
    let classes = 20_011;
    let base = rounded(SoftmaxLoss::balanced(&counts(classes)));
    for (turn, spec) in divergences(classes).into_iter().enumerate() {
        let spec = spec.with_base(Some(base.clone()), 0.5);
        let case = Case::new(spec, data(2, classes, TargetKind::Hard, turn));
        for choice in [None, Some(RowChoice::stream(1, 4).with_split(3))] {
            let elements = (ELEMENTS[turn], Element::F32);
            case.check(kernels, Manner { choice, elements, ..Manner::default() });
        }
    }
}

/// As many experts as classes; more than the kernels go through.
#[test]
fn many_experts() {
    let kernels = context().kernels();
    let each = |classes: u32| {
        DistillationLoss::lfme((0..classes).map(|class| Expert::new([class])).collect::<Vec<_>>())
    };
    let pairs = (0..600u32).map(|pair| Expert::new([1199 - pair, pair]).with_weight(f64::from(pair % 3)));
    for spec in [each(700), DistillationLoss::lfme(pairs.collect::<Vec<_>>())] {
        let classes = spec.teacher_columns(0);
        let spec = spec.with_base(Some(SoftmaxLoss::cross_entropy()), 1.0);
        let mut data = data(5, classes, TargetKind::Hard, 1);
        data.logits.iter_mut().for_each(|z| *z = if z.is_finite() { *z } else { 1.0 });
        data.wide = data.logits.iter().map(|&z| z.into()).collect();
        let mut case = Case::new(spec, data);
        case.teacher.iter_mut().for_each(|t| *t = if t.is_finite() { *t } else { -1.0 });
        case.check(kernels, Manner::default());
    }
    let error = kernels.plan(each(4097), &longtail::gpu::PlanRequest::new(1, 5000)).unwrap_err();
    assert!(matches!(error, Error::Limit { allowed: 4096, .. }), "{error}");
}

/// The plan reads logits in two kernels, holds O(N + K), and says so.
#[test]
fn one_plan() {
    let kernels = context().kernels();
    let spec = DistillationLoss::dive(&counts(700), 0.5, 3.0, 0.5).unwrap();
    let case = Case::new(spec, data(300, 700, TargetKind::Hard, 0));
    let manner = Manner { storage: Storage::InPlace, ..Manner::default() };
    let plan = case.plan(kernels, manner).unwrap();
    let over_logits = |program: &Program| match program {
        Program::Distillation(key) => {
            matches!(key.driver, DistillationDriver::Rows | DistillationDriver::Gradient)
        }
        Program::Softmax(key) => key.driver.over_logits(),
        _ => false,
    };
    assert_eq!(plan.kernels().iter().filter(|(program, _)| over_logits(program)).count(), 2);
    assert!(plan.bytes() < 4 * (300 * 24 + 700 * 8) + 4096, "{}", plan.bytes());
    assert!(plan.describe().contains("streamed for divergence and base"), "{}", plan.describe());
    let first = format!("{:?}", case.pass(kernels, &plan, manner).unwrap());
    assert_eq!(first, format!("{:?}", case.pass(kernels, &plan, manner).unwrap()));
}

/// What `Plan::update` takes: other numbers, columns that only labels look at, modulators; not other terms.
#[test]
fn updates() {
    let kernels = context().kernels();
    let (classes, manner) = (9, Manner::default());
    let counts = counts(classes);
    let with = |base: SoftmaxLoss, number: usize| {
        divergences(classes)[number].clone().with_base(Some(rounded(base)), 0.5)
    };
    for number in [0, 2] {
        let plain = SoftmaxLoss::balanced(&counts);
        let mut case = Case::new(with(plain.clone(), number), data(6, classes, TargetKind::Hard, 1));
        let mut plan = case.plan(kernels, manner).unwrap();
        let weights: Vec<f64> = (0..classes).map(|class| 0.5 + class as f64).collect();
        let mut marginal = plain.clone();
        marginal.margin = Some(vec![0.25; classes]);
        for base in [
            plain.clone().with_class_weights(weights),
            plain.clone().with_focal(longtail::softmax::Focal::new(1.5)),
            marginal,
            plain.clone(),
        ] {
            case.spec = with(base, number).with_teacher_power(1.5);
            plan.update(&case.spec).unwrap();
            let got = case.pass(kernels, &plan, manner).unwrap();
            case.compare(&plan, manner, &got);
        }
        for base in [
            SoftmaxLoss::cross_entropy(),
            plain.clone().with_label_smoothing(0.1),
            SoftmaxLoss::seesaw(&counts),
            SoftmaxLoss::vector_scaling(&counts, 0.1, 1.0).unwrap(),
        ] {
            let error = plan.update(with(base, number)).unwrap_err();
            assert!(matches!(error, Error::Unexpected { .. }), "{error}");
        }
        // What was refused has changed nothing.
        let got = case.pass(kernels, &plan, manner).unwrap();
        case.compare(&plan, manner, &got);
    }
}

/// A base with seesaw counts the labels of each pass, in its own counts or in those of another plan.
#[test]
fn counts_of_seesaw() {
    let kernels = context().kernels();
    let (classes, manner) = (19, Manner::default());
    let base = SoftmaxLoss::seesaw(&counts(classes));
    let before = base.seesaw.as_ref().unwrap().counts.clone();
    let spec = divergences(classes)[0].clone().with_base(Some(base), 0.5);
    let case = Case::new(spec, data(8, classes, TargetKind::Hard, 1)).rounded(manner);
    let plan = case.plan(kernels, manner).unwrap();
    let counted = |passes: u64| -> Vec<u64> {
        let labels = |class: usize| case.data.labels.iter().filter(|&&label| label == class as i32).count();
        (0..classes).map(|class| before[class] + passes * labels(class) as u64).collect()
    };
    for passes in [1, 2] {
        case.pass(kernels, &plan, manner).unwrap();
        assert_eq!(plan.counts().unwrap().read().unwrap(), counted(passes));
    }
    let request = case.request(manner).with_counts(plan.counts().unwrap().clone());
    let other = kernels.plan(&case.spec, &request).unwrap();
    case.pass(kernels, &other, manner).unwrap();
    assert_eq!(plan.counts().unwrap().read().unwrap(), counted(3));
    let wrong = DeviceCounts::new(kernels, &[1; 18]).unwrap();
    let error = kernels.plan(&case.spec, &case.request(manner).with_counts(wrong)).unwrap_err();
    assert!(matches!(error, Error::Length { what: "shared class counts", .. }), "{error}");
}

/// Masks, numbers that are none and labels out of range: what each part says of them, in every row layout.
#[test]
fn hostile_rows() {
    let kernels = context().kernels();
    let (classes, infinity) = (7, f32::INFINITY);
    let counts = counts(classes);
    for number in [0, 2] {
        for lanes in [1, 4] {
            let choice = Some(RowChoice::stream(lanes, 8));
            let manner = Manner { storage: Storage::InPlace, choice, ..Manner::default() };
            let spec = divergences(classes)[number].clone();
            let spec = spec.with_base(Some(rounded(SoftmaxLoss::balanced(&counts))), 0.5);
            let columns = spec.teacher_columns(classes);
            let mut plain = Case::new(spec, data(6, classes, TargetKind::Hard, 0));
            plain.data.labels.copy_from_slice(&[0, 6, 1, -100, 2, 3]);
            plain.data.logits.iter_mut().for_each(|z| *z = if z.is_finite() { *z } else { 1.0 });
            plain.data.wide = plain.data.logits.iter().map(|&z| z.into()).collect();
            let (plan, good) = plain.run(kernels, manner).unwrap();
            plain.compare(&plan, manner, &good);
            let same_elsewhere = |got: &gpu::Got, bad: usize| {
                for row in (0..6).filter(|row| *row != bad) {
                    let slopes = classes * row..classes * (row + 1);
                    assert_eq!(got.row_loss[row].to_bits(), good.row_loss[row].to_bits());
                    assert_eq!(got.gradient[slopes.clone()], good.gradient[slopes]);
                }
            };
            // Rows 1 and, ignored, 3.
            for row in [1, 3] {
                for (bad, place) in [(f32::NAN, 0), (infinity, classes - 1), (-f32::NAN, 5)] {
                    let mut case = plain.clone();
                    case.data.logits[row * classes + place] = bad;
                    let got = case.pass(kernels, &plan, manner).unwrap();
                    same_elsewhere(&got, row);
                    let status = Error::NonFinite { what: "logits", row: row as u64, rows: 1 };
                    assert_eq!(got.status, Some(status));
                    assert!(got.loss.is_nan() && got.row_loss[row].is_nan());
                    assert!(got.log_sum_exp[row].is_nan() && got.probability[row].is_nan());
                    assert!(got.gradient[row * classes..][..classes].iter().all(|slope| slope.is_nan()));
                    // A teacher's number leaves the base's softmax as it is.
                    let mut case = plain.clone();
                    case.teacher[row * columns + place % columns] = bad;
                    let got = case.pass(kernels, &plan, manner).unwrap();
                    same_elsewhere(&got, row);
                    assert!(got.row_loss[row].is_nan());
                    assert_eq!(got.log_sum_exp[row].to_bits(), good.log_sum_exp[row].to_bits());
                    assert_eq!(got.probability[row].to_bits(), good.probability[row].to_bits());
                    assert!(got.gradient[row * classes..][..classes].iter().all(|slope| slope.is_nan()));
                }
            }
            // Nothing but masks: of the teacher, of the student, in a row that counts and in one that does not.
            let mut case = plain.clone();
            case.teacher[2 * columns..3 * columns].fill(-infinity);
            let got = case.pass(kernels, &plan, manner).unwrap();
            same_elsewhere(&got, 2);
            assert!(matches!(got.status, Some(Error::NonFinite { row: 2, rows: 1, .. })), "{:?}", got.status);
            let mut case = plain.clone();
            case.data.logits[2 * classes..4 * classes].fill(-infinity);
            let got = case.pass(kernels, &plan, manner).unwrap();
            assert!(matches!(got.status, Some(Error::NonFinite { row: 2, rows: 1, .. })), "{:?}", got.status);
            assert_eq!((got.row_loss[3], got.argmax[3]), (0.0, 0));
            assert!(got.gradient[3 * classes..4 * classes].iter().all(|slope| *slope == 0.0));
            // A label that is no class.
            let mut case = plain.clone();
            case.data.labels[4] = classes as i32;
            let got = case.pass(kernels, &plan, manner).unwrap();
            assert!(matches!(got.status, Some(Error::Label { row: 4, rows: 1, classes: 7, .. })));
            assert!(got.loss.is_nan() && got.row_loss[4].is_nan() && got.log_sum_exp[4].is_nan());
            assert!(got.gradient[4 * classes..][..classes].iter().all(|slope| slope.is_nan()));
            assert_eq!(got.row_loss[..4], good.row_loss[..4]);
            // The student masks its label, and what the teacher wants: +inf, with a gradient.
            let mut case = plain.clone();
            case.data.logits[0] = -infinity;
            case.data.wide[0] = f64::NEG_INFINITY;
            let got = case.pass(kernels, &plan, manner).unwrap();
            assert_eq!((got.loss, got.row_loss[0]), (infinity, infinity));
            assert!(got.gradient.iter().all(|slope| slope.is_finite()));
            case.compare(&plan, manner, &got);
        }
    }
}

/// Ties go to the lowest class, whatever the experts' order.
#[test]
fn ties() {
    let kernels = context().kernels();
    let classes = 40;
    for spec in divergences(classes) {
        let spec = spec.with_base(Some(SoftmaxLoss::cross_entropy()), 1.0);
        let mut data = data(5, classes, TargetKind::Hard, 0);
        data.logits.fill(1.0);
        for (row, tied) in [(1, vec![39, 7]), (2, vec![6, 5]), (3, vec![38, 2, 33])] {
            tied.iter().for_each(|class| data.logits[row * classes + class] = 2.0);
        }
        data.wide = data.logits.iter().map(|&z| z.into()).collect();
        let (_, got) = Case::new(spec, data).run(kernels, Manner::default()).unwrap();
        assert_eq!(got.argmax, [0, 7, 5, 2, 0]);
    }
}

/// Wrong kernels are noticed.
#[test]
fn mutants() {
    let edits = [
        "select(F(-bitcast<f32>(window.infinity)), x, B(inside)) -> x",
        "select(F(NEG_MAX), out.entry.u, B(inside)) -> out.entry.u",
        "numbers.base_factor * bitcast<f32>(scalars[SCALAR_INVERSE]) -> numbers.base_factor",
        "save_by(factor, SAVED_FIRST -> save_by(F(1.0), SAVED_FIRST",
        "save_by(factor, SAVED_SECOND -> save_by(F(1.0), SAVED_SECOND",
        "save_by(factor, SAVED_DENSE -> save_by(F(1.0), SAVED_DENSE",
        "by_factor(F(numbers.base_factor), out.loss) -> out.loss",
        "by_factor(base_inverse, base_loss) -> by_factor(F(divergence_inverse()), base_loss)",
        "numbers.by_kept != 0u) -> false)",
        "select(0.0, 1.0, kept) -> 1.0",
        "kept = kept || -> kept = kept && ",
        "by_factor(F(divergence_inverse()), numbers.slope -> by_factor(F(1.0), numbers.slope",
        "= scaled(load_coefficients(row), upstream) -> = load_coefficients(row)",
        "+ base_gradient(row, j, z) -> + 0.99 * base_gradient(row, j, z)",
        "merge(a.mass, b.mass) -> a.mass",
        "clamp(start + columns.x, begin, end) -> clamp(start + columns.z, begin, end)",
        "(numbers.table + column) -> (column)",
        "- log_weight -> + log_weight",
        "begin = u32(table(TABLE_BEGIN, run)); -> begin = 0u;",
        "infinity, none) -> F(0.0), none)",
        "let first = load_teacher_pairs(teacher_of(row.rows), column(row, block, thread, 0u)); -> \
         let first = load_teacher_pairs(teacher_of(row.rows), column(row, block, thread, 2u));",
        "U(j) < (*scan).index -> U(j) > (*scan).index",
        "(*to).base = merged_base( -> let skipped = merged_base(",
    ];
    notices(&edits, &[3, 8, 2]);
}

#[test]
fn mutants_of_seesaw() {
    let edits = [
        "max(a.rest, b.rest) -> a.rest",
        "if (any_lane(all.rest > base_threshold)) -> if (false)",
        "merge_base_over_workgroup(thread, base); -> ",
        "base_threshold = float_of_bits(load_saved(SAVED_THRESHOLD, row.rows)); -> base_threshold = F(0.0);",
        "base_threshold = own_threshold(base_labels.first); -> base_threshold = F(0.0);",
        "compensated(kept_logit(row, term, j, z, at), base_threshold) -> kept_logit(row, term, j, z, at)",
        "u, class_factor(row, term), term.weight, at) -> u, F(1.0), term.weight, at)",
    ];
    notices(&edits, &[15, 16]);
}

/// Whether the comparison notices each edit, from some bases of the list.
fn notices(edits: &[&str], of_bases: &[usize]) {
    let classes = 37;
    let list = bases(classes);
    let mut cases = Vec::new();
    for (turn, &index) in of_bases.iter().enumerate() {
        for (number, spec) in divergences(classes).into_iter().enumerate() {
            if number == 2 && turn > 0 {
                continue;
            }
            let hard = (turn + number) % 2 == 0 || list[index].seesaw.is_some();
            let kind = if hard { TargetKind::Hard } else { TargetKind::Mixed };
            let spec = spec.with_base(Some(list[index].clone()), 0.5).with_reduction(Reduction::MeanKept);
            let mut data = data(9, classes, kind, turn);
            // A tie of classes that one thread has.
            data.logits[1] = 50.0;
            data.logits[33] = 50.0;
            data.wide = data.logits.iter().map(|&z| z.into()).collect();
            let elements = (ELEMENTS[turn % 3], Element::F32);
            let upstream = Up::Scalar(1.5);
            // The same layout on every adapter: rows of several blocks.
            let choice = Some(RowChoice::stream(4, 8));
            let manner =
                Manner { mode: Mode::ForwardBackward, elements, upstream, choice, ..Manner::default() };
            cases.push((Case::new(spec, data).rounded(manner), manner));
        }
    }
    let kernels = context().kernels();
    let mut tally = mutants::Tally::default();
    for edit in edits {
        let (from, to) = edit.split_once(" -> ").unwrap();
        tally.check("distillation with a base", kernels, (from, to), |kernels| {
            let (mut largest, mut text) = (0.0f64, String::new());
            for (case, manner) in &cases {
                let (plan, got) = case.run(kernels, *manner).unwrap();
                largest = largest.max(case.worst(*manner, &got).0);
                plan.kernels().iter().for_each(|(program, _)| text.push_str(&program.wgsl()));
                if largest > 1.0 {
                    break;
                }
            }
            (largest, text)
        });
    }
    tally.close();
}
