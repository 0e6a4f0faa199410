//! Distillation's kernels against the f64 reference.
//!
//! Errors: a logit by its scale is off by an ulp of it, so an exponential by as many ulps as its argument is large; a
//! thread's sum of exponentials by an ulp for each; the divergence by ulps of the two log-sum-exps it is made of.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/losses.rs"]
mod losses;

use gpu::{Got, Manner, Up, context, kernels_with};
use inputs::counts;
use longtail::distillation::Expert;
use longtail::gpu::{Kernels, Mode, RowChoice, Storage};
use longtail::softmax::GateSource;
use longtail::{Batch, DistillationLoss, Element, Error, Loss, Reduction, SoftmaxLoss, Targets, reference};
use losses::{Problem, manners, rounding, worst};

const EPSILON: f64 = f32::EPSILON as f64;

fn spec(problem: &Problem) -> &DistillationLoss {
    match &problem.loss {
        Loss::Distillation(spec) => spec,
        other => panic!("{other:?}"),
    }
}

/// The largest error in units of what is allowed.
fn error(problem: &Problem, manner: Manner, got: &Got) -> f64 {
    let spec = spec(problem);
    let (logits, teacher) = (problem.wide(), problem.wide_teacher());
    let upstream = match manner.mode {
        Mode::LossAndGrad => Up::One,
        _ => manner.upstream,
    };
    let upstream = problem.reference_upstream(upstream);
    let want = reference::distillation(spec, &problem.batch(&logits), &teacher, upstream).unwrap();
    let largest = |values: &[f64]| {
        values.iter().filter(|value| value.is_finite()).fold(0.0, |most: f64, value| most.max(value.abs()))
    };
    let a = largest(&logits) / spec.temperature;
    let b = largest(&teacher) * spec.teacher_power / spec.temperature;
    let sizes = 4.0 * (a + b) + 16.0 + (problem.classes as f64).ln() + problem.classes as f64 / 4.0;
    let ulps = EPSILON * sizes;
    let squared = if spec.squared { spec.temperature * spec.temperature } else { 1.0 };
    let weights = problem.row_weights.as_deref().unwrap_or(&[1.0]);
    let heaviest = weights.iter().fold(0.0, |most: f64, weight| most.max(f64::from(*weight)));
    let experts = spec.experts.iter().flatten().map(|expert| expert.weight).fold(1.0, f64::max);
    let factor = spec.weight * squared * heaviest * experts;
    let up = match manner.upstream {
        Up::One => 1.0,
        Up::Scalar(value) => f64::from(value.abs()),
        Up::PerRow => 1.5,
    };
    let inverse = match spec.reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::Fixed(d) => 1.0 / d,
        _ => 1.0 / (problem.labels.iter().filter(|label| **label >= 0).count().max(1) as f64),
    };
    // The base's own errors are those of a softmax of logits as large; its weights here are at most those of the row.
    let based = if spec.base.is_some() { spec.base_weight * heaviest * 4.0 } else { 0.0 };
    let old = |index: usize| problem.old.as_ref().map_or(0.0, |old| f64::from(old[index]));
    let gradient: Vec<f64> = want.gradient.iter().enumerate().map(|(at, g)| g + old(at)).collect();
    let row = ulps * (1.0 + a + b) * (factor + based);
    let of_gradient = ulps * up * (factor / spec.temperature * inverse + based);
    let element = manner.gradient();
    // A gradient that is added to was rounded before.
    let passes = if spec.base.is_some() { 2.0 } else { 1.0 };
    let base_size = |index: usize| gradient[index].abs() + factor * up * inverse / spec.temperature;
    [
        worst(&[got.loss], &[want.loss], |_| {
            row * inverse.max(1.0 / problem.rows.max(1) as f64) * problem.rows as f64
        }),
        worst(&got.row_loss, &want.row_loss, |_| row),
        worst(&got.gradient, &gradient, |index| {
            let size = if spec.base.is_some() { base_size(index) } else { gradient[index] };
            passes * rounding(element, size) + EPSILON * old(index).abs() + of_gradient
        }),
        if manner.argmax && got.argmax != want.argmax { f64::INFINITY } else { 0.0 },
        if got.status.is_some() { f64::INFINITY } else { 0.0 },
    ]
    .into_iter()
    .fold(0.0, f64::max)
}

fn check(kernels: &Kernels, problem: &Problem, manner: Manner) {
    let problem = problem.clone().rounded(manner.elements.0, manner.gradient());
    let (_, got) = problem.run(kernels, manner).unwrap_or_else(|error| panic!("{manner:?}: {error}"));
    let ratio = error(&problem, manner, &got);
    assert!(ratio <= 1.0, "{ratio} times what is allowed: {:?} in {manner:?}", problem.loss);
}

/// Experts for some of the classes, out of order, with gaps.
fn experts(classes: usize) -> Vec<Expert> {
    let classes = classes as u32;
    let of = |rest: u32| (0..classes).rev().filter(|class| class % 4 == rest).collect::<Vec<u32>>();
    let experts = [(of(1), 1.0), (of(0), 0.5), (of(3), 2.0)];
    let some = experts.into_iter().filter(|(classes, _)| !classes.is_empty());
    some.map(|(classes, weight)| Expert::new(classes).with_weight(weight)).collect()
}

fn problems(rows: usize, classes: usize) -> Vec<Problem> {
    let counts = counts(classes);
    let lfme = DistillationLoss::lfme(experts(classes)).with_weight(0.75);
    let plain = DistillationLoss::hinton(2.5).with_teacher_power(0.5);
    let dive = DistillationLoss::dive(&counts, 0.25, 3.0, 0.5).unwrap();
    let kept = DistillationLoss::hinton(1.0).with_squared(false).with_reduction(Reduction::MeanKept);
    let based = lfme.clone().with_base(Some(SoftmaxLoss::logit_adjusted(&counts, 1.0).unwrap()), 2.0);
    let weighted = kept.clone().with_reduction(Reduction::WeightedMean);
    let seesaw = plain.clone().with_base(Some(SoftmaxLoss::seesaw(&counts)), 2.0);
    let none = plain.clone().with_reduction(Reduction::None);
    let specs = [plain, lfme, dive, kept, based, weighted, none, seesaw];
    let make = |(seed, spec): (usize, DistillationLoss)| {
        let columns = spec.teacher_columns(classes);
        let mut problem =
            Problem::new(spec, rows, classes, classes, seed as u32).with_teacher(columns, seed as u32);
        for row in (1..rows).step_by(3) {
            problem.labels[row] = -100;
        }
        if seed % 2 == 0 { problem.with_row_weights() } else { problem }
    };
    specs.into_iter().enumerate().map(make).collect()
}

#[test]
fn every_manner() {
    let kernels = context().kernels();
    let mut cases = 0;
    for (seed, (rows, classes)) in [(1, 1), (5, 7), (4, 64), (9, 131)].into_iter().enumerate() {
        for (index, problem) in problems(rows, classes).into_iter().enumerate() {
            for (turn, manner) in manners().into_iter().enumerate() {
                if (turn + index) % 4 != seed {
                    continue;
                }
                check(kernels, &problem, manner);
                cases += 1;
                if manner.storage != Storage::InPlace {
                    check(kernels, &problem.clone().with_old(), manner);
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} cases on the adapter");
    assert!(cases > 150, "{cases}");
}

const ELEMENTS: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];

/// Every element type of student and teacher, odd and even rows of both, strides, storages and passes.
#[test]
fn teachers_of_every_element() {
    let kernels = context().kernels();
    let mut cases = 0;
    for (rows, classes) in [(3, 1), (6, 7), (4, 64), (9, 131)] {
        for (index, problem) in problems(rows, classes).into_iter().take(3).enumerate() {
            for (turn, (student, teacher)) in ELEMENTS
                .into_iter()
                .flat_map(|student| ELEMENTS.map(|teacher| (student, teacher)))
                .enumerate()
            {
                let problem = Problem { teacher_element: Some(teacher), ..problem.clone() };
                let storage = [Storage::Separate, Storage::Shared, Storage::InPlace][(turn + index) % 3];
                let gradient = if storage == Storage::InPlace { student } else { ELEMENTS[(turn + 1) % 3] };
                let manner = Manner {
                    mode: [Mode::LossAndGrad, Mode::ForwardBackward][(turn + rows) % 2],
                    storage,
                    gaps: [(0, 0), (3, 1), (1, 0), (0, 2)][turn % 4],
                    elements: (student, gradient),
                    argmax: true,
                    block: [0, 0, 2][turn % 3],
                    ..Manner::default()
                };
                check(kernels, &problem, manner);
                cases += 1;
            }
        }
    }
    println!("{cases} cases on the adapter");
    assert_eq!(cases, 4 * 3 * 9);
}

/// A teacher's rows of odd length share words: what is no number in one is none of its neighbours' business. Windows begin
/// in the middle of them.
#[test]
fn hostile_teachers() {
    let kernels = context().kernels();
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 2048);
    for element in ELEMENTS {
        for experts in [false, true] {
            let loss = match experts {
                false => DistillationLoss::hinton(2.0),
                // Five columns of the teacher's.
                true => DistillationLoss::lfme([Expert::new([4, 0, 2]), Expert::new([6, 5])]),
            };
            let columns = loss.teacher_columns(7);
            let mut problem = Problem::new(loss, 6, 7, 7, 6).with_teacher(columns, 6);
            problem.teacher_element = Some(element);
            let plain = problem.clone().rounded(Element::F32, Element::F32);
            check(&small, &Problem { rows: 6, ..problem.clone() }, Manner::default());
            for (bad, place) in [(f32::NAN, 0), (f32::INFINITY, columns - 1), (-f32::NAN, 2)] {
                let mut problem = plain.clone();
                problem.teacher.as_mut().unwrap().0[3 * columns + place] = bad;
                let (_, got) = problem.run(kernels, Manner::default()).unwrap();
                let want = plain.run(kernels, Manner::default()).unwrap().1;
                assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 3, rows: 1 }));
                for row in 0..6 {
                    let slopes = 7 * row..7 * (row + 1);
                    if row == 3 {
                        assert!(got.gradient[slopes].iter().all(|slope| slope.is_nan()));
                    } else {
                        assert_eq!(
                            got.row_loss[row].to_bits(),
                            want.row_loss[row].to_bits(),
                            "{element}, {row}"
                        );
                        assert_eq!(got.gradient[slopes.clone()], want.gradient[slopes]);
                    }
                }
            }
            // A mask is one in every type.
            let mut masked = plain.clone();
            masked.teacher.as_mut().unwrap().0[3 * columns] = f32::NEG_INFINITY;
            check(kernels, &masked, Manner::default());
        }
    }
    // Many windows, whose rows begin in the middle of a word.
    let mut problem = Problem::new(DistillationLoss::hinton(2.0), 61, 37, 37, 4).with_teacher(37, 4);
    for element in ELEMENTS {
        problem.teacher_element = Some(element);
        let plan = small.plan(&problem.loss, &problem.request(Manner::default())).unwrap();
        assert!(plan.windows().0 > 3);
        check(&small, &problem, Manner::default());
    }
}

/// Slices are rounded to what the plan says.
#[test]
fn a_sessions_teacher() {
    let kernels = context().kernels();
    let mut problem = Problem::new(DistillationLoss::hinton(2.0), 5, 7, 7, 3).with_teacher(7, 3);
    for (student, teacher) in [(Element::F32, Element::F16), (Element::Bf16, Element::Bf16)] {
        problem.teacher_element = (student != teacher).then_some(teacher);
        let mut session = longtail::gpu::Session::of(
            kernels,
            &problem.loss,
            &problem.request(Manner { elements: (student, student), argmax: false, ..Manner::default() }),
        )
        .unwrap();
        let (values, _) = problem.teacher.as_ref().unwrap();
        let found = session.loss_and_grad(&problem.batch(&problem.logits).with_teacher(values)).unwrap();
        let got =
            Got { loss: found.loss, row_loss: found.row_loss, gradient: found.gradient, ..Got::default() };
        let rounded = problem.clone().rounded(student, student);
        let manner = Manner { elements: (student, student), argmax: false, ..Manner::default() };
        let ratio = error(&rounded, manner, &got);
        assert!(ratio <= 1.0, "{ratio}");
    }
}

/// Rows of many classes, in pieces and in every workgroup.
#[test]
fn long_rows() {
    let kernels = context().kernels();
    for (workgroup, split) in [(8, 1), (64, 3), (1, 2), (128, 5)] {
        let choice = Some(RowChoice::stream(1, workgroup).with_split(split));
        for problem in problems(3, 4099).into_iter().step_by(2) {
            check(
                kernels,
                &problem,
                Manner { choice, elements: (Element::Bf16, Element::F32), ..Manner::default() },
            );
        }
    }
}

/// What is chosen for GPUs.
#[test]
fn layouts_of_a_large_gpu() {
    let kernels = context().kernels().laid_out_as_on_a_gpu();
    for (turn, manner) in manners().into_iter().step_by(5).enumerate() {
        let (rows, classes) = [(5, 131), (3, 1030)][turn % 2];
        for problem in problems(rows, classes).into_iter().skip(turn % 2).step_by(2) {
            check(&kernels, &problem, manner);
        }
    }
}

/// Rows in several windows.
#[test]
fn windows() {
    let kernels = kernels_with(|limits| limits.max_storage_buffer_binding_size = 4096);
    let mut most = 0;
    for problem in problems(61, 37) {
        for manner in manners().into_iter().filter(|manner| manner.storage != Storage::InPlace).step_by(2) {
            let plan = kernels.plan(&problem.loss, &problem.request(manner)).unwrap();
            most = most.max(plan.windows().0);
            check(&kernels, &problem, manner);
        }
    }
    assert!(most >= 3, "{most}");
    let long = &problems(2, 2000)[0];
    let error = long.run(&kernels, Manner::default()).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}

/// Two labels a row: it counts where one of them does.
#[test]
fn mixed_labels() {
    let spec = DistillationLoss::hinton(2.0)
        .with_base(Some(SoftmaxLoss::cross_entropy()), 0.5)
        .with_reduction(Reduction::MeanKept);
    let mut problem = Problem::new(spec, 6, 5, 5, 3).with_teacher(5, 3).with_row_weights();
    problem.labels[..4].copy_from_slice(&[0, -100, 2, -100]);
    problem.mixed = Some((vec![1, 2, -100, -100, 3, 4], vec![0.5, 0.25, 1.0, 0.0, 0.75, 0.5]));
    for mode in [Mode::LossAndGrad, Mode::ForwardBackward] {
        let manner = Manner { mode, ..Manner::default() };
        let (_, got) = problem.run(context().kernels(), manner).unwrap();
        let logits = problem.wide();
        let want = reference::distillation(
            spec_of(&problem),
            &problem.batch(&logits),
            &problem.wide_teacher(),
            longtail::Upstream::One,
        )
        .unwrap();
        assert!(worst(&[got.loss], &[want.loss], |_| 1e-5) <= 1.0, "{} {}", got.loss, want.loss);
        assert!(worst(&got.row_loss, &want.row_loss, |_| 1e-5) <= 1.0);
        assert!(worst(&got.gradient, &want.gradient, |_| 1e-6) <= 1.0);
    }
}

fn spec_of(problem: &Problem) -> &DistillationLoss {
    spec(problem)
}

/// A base that draws its gates: its generator's step goes on with the plan's passes.
#[test]
fn drawn_gates() {
    let kernels = context().kernels();
    let counts = counts(37);
    let gated = SoftmaxLoss::equalization(&counts, 0.05, 0.5, 11, GateSource::Element).unwrap();
    let at = |step: u64| {
        let mut base = gated.clone();
        base.gate.as_mut().unwrap().step = step;
        DistillationLoss::hinton(2.0).with_base(Some(base), 0.5)
    };
    let problem = Problem::new(at(3), 9, 37, 37, 2).with_teacher(37, 2);
    let manner = Manner::default();
    let (plan, first) = problem.run(kernels, manner).unwrap();
    assert!(error(&problem, manner, &first) <= 1.0);
    let second = problem.pass(kernels, &plan, manner).unwrap();
    let later = Problem { loss: at(4).into(), ..problem.clone() };
    assert!(error(&later, manner, &second) <= 1.0);
    assert!(error(&problem, manner, &second) > 1.0);
    plan.set_step(3).unwrap();
    let again = problem.pass(kernels, &plan, manner).unwrap();
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
}

/// Masks, and rows that have no value.
#[test]
fn hostile_rows() {
    let kernels = context().kernels();
    let infinity = f32::INFINITY;
    let spec = DistillationLoss::hinton(2.0).with_reduction(Reduction::Sum);
    let mut problem = Problem::new(spec, 4, 4, 4, 5).with_teacher(4, 5);
    // The teacher wants none of a class; the student has masked one that it wants.
    problem.teacher.as_mut().unwrap().0[1] = -infinity;
    problem.logits[4] = -infinity;
    problem.logits[8..12].copy_from_slice(&[1e38, -1e38, 3e38, 0.0]);
    let (_, got) = problem.run(kernels, Manner::default()).unwrap();
    assert_eq!((got.loss, got.row_loss[1]), (infinity, infinity));
    assert!(got.gradient.iter().all(|slope| slope.is_finite()), "{:?}", got.gradient);
    assert!(got.status.is_none());
    let logits = problem.wide();
    let want = reference::distillation(
        spec_of(&problem),
        &problem.batch(&logits),
        &problem.wide_teacher(),
        longtail::Upstream::One,
    )
    .unwrap();
    assert!(worst(&got.gradient, &want.gradient, |_| 1e-5) <= 1.0);

    for bad in [f32::NAN, infinity] {
        for of_teacher in [false, true] {
            let mut problem = Problem::new(DistillationLoss::hinton(2.0), 5, 4, 4, 6).with_teacher(4, 6);
            // Ignored rows are looked at too.
            problem.labels[3] = -100;
            match of_teacher {
                true => problem.teacher.as_mut().unwrap().0[13] = bad,
                false => problem.logits[13] = bad,
            }
            let (_, got) = problem.run(kernels, Manner::default()).unwrap();
            assert!(got.loss.is_nan() && got.row_loss[3].is_nan());
            assert!(got.gradient[12..16].iter().all(|slope| slope.is_nan()));
            assert!(got.gradient[..12].iter().all(|slope| slope.is_finite()));
            assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 3, rows: 1 }));
        }
    }
    // Nothing but masks.
    let mut problem = Problem::new(DistillationLoss::hinton(2.0), 2, 3, 3, 7).with_teacher(3, 7);
    problem.teacher.as_mut().unwrap().0[3..].fill(-infinity);
    let (_, got) = problem.run(kernels, Manner::default()).unwrap();
    assert!(matches!(got.status, Some(Error::NonFinite { row: 1, rows: 1, .. })), "{:?}", got.status);
    // A label that is no class.
    problem = Problem::new(DistillationLoss::hinton(2.0), 3, 3, 3, 8).with_teacher(3, 8);
    problem.labels[1] = 3;
    let (_, got) = problem.run(kernels, Manner::default()).unwrap();
    assert!(matches!(got.status, Some(Error::Label { row: 1, rows: 1, classes: 3, .. })), "{:?}", got.status);
    assert!(got.loss.is_nan());
}

/// No row, and none that counts.
#[test]
fn nothing_counts() {
    let kernels = context().kernels();
    for spec in [
        DistillationLoss::hinton(2.0),
        DistillationLoss::hinton(2.0).with_reduction(Reduction::MeanKept),
        DistillationLoss::dive(&counts(3), 0.5, 2.0, 1.0).unwrap(),
    ] {
        let mut problem = Problem::new(spec, 2, 3, 3, 1).with_teacher(3, 1);
        problem.labels.fill(-100);
        let (_, got) = problem.run(kernels, Manner::default()).unwrap();
        assert_eq!(got.loss, 0.0);
        assert!(got.gradient.iter().all(|slope| *slope == 0.0), "{:?}", got.gradient);
        let none = Problem::new(problem.loss.clone(), 0, 3, 3, 1).with_teacher(3, 1);
        assert_eq!(none.run(kernels, Manner::default()).unwrap().1.loss, 0.0);
    }
}

/// The same bits on every run, and other numbers without another plan.
#[test]
fn again_and_updated() {
    let kernels = context().kernels();
    for problem in problems(9, 131).into_iter().take(5) {
        let manner = Manner::default();
        let (mut plan, first) = problem.run(kernels, manner).unwrap();
        let again = problem.pass(kernels, &plan, manner).unwrap();
        assert_eq!(format!("{first:?}"), format!("{again:?}"));
        let warmer = spec(&problem).clone().with_weight(2.5).with_teacher_power(1.5);
        plan.update(&warmer).unwrap();
        let problem = Problem { loss: warmer.into(), ..problem };
        let ratio = error(&problem, manner, &problem.pass(kernels, &plan, manner).unwrap());
        assert!(ratio <= 1.0, "{ratio}");
        let other = plan.update(SoftmaxLoss::cross_entropy()).unwrap_err();
        assert!(matches!(other, Error::Unexpected { .. }));
        let based = spec(&problem).base.is_some();
        let other = spec(&problem).clone().with_base((!based).then(SoftmaxLoss::cross_entropy), 1.0);
        assert!(matches!(plan.update(&other), Err(Error::Unexpected { .. })));
    }
}

/// Slices: sessions bring the teacher along.
#[test]
fn slices() {
    let context = context();
    for problem in problems(5, 7) {
        let (teacher, _) = problem.teacher.as_ref().unwrap();
        let batch = problem.batch(&problem.logits).with_teacher(teacher);
        let found = context.loss_and_grad(&problem.loss, &batch).unwrap();
        let got = Got {
            loss: found.loss,
            row_loss: found.row_loss,
            gradient: found.gradient,
            argmax: found.argmax,
            ..Got::default()
        };
        let ratio = error(&problem, Manner::default(), &got);
        assert!(ratio <= 1.0, "{ratio}");
        let error = context.loss_and_grad(&problem.loss, &problem.batch(&problem.logits)).unwrap_err();
        assert!(matches!(error, Error::Missing { what: "teacher logits", .. }), "{error}");
    }
    let batch = Batch::new(&[0.0; 2], 2, Targets::Hard(&[0])).with_teacher(&[0.0; 2]);
    let error = context.loss_and_grad(SoftmaxLoss::cross_entropy(), &batch).unwrap_err();
    assert!(matches!(error, Error::Unexpected { what: "teacher logits", .. }), "{error}");
}

/// Wrong kernels are noticed.
#[test]
fn mutants() {
    let edits = [
        ("numbers.student_exponent * x", "1.001 * numbers.student_exponent * x"),
        ("numbers.teacher_exponent * x", "1.001 * numbers.teacher_exponent * x"),
        ("numbers.teacher_scale * t", "t"),
        ("clamp(scale * largest,", "clamp(largest,"),
        ("numbers.student_unit * (", "("),
        ("numbers.teacher_unit * (", "("),
        ("(student - teacher)", "(teacher - student)"),
        ("shrink_t + ((wa", "shrink_t + 0.999 * ((wa"),
        ("row_factor * (s - q)", "row_factor * (q - s)"),
        ("numbers.slope * own", "F(numbers.slope)"),
        ("by_factor(numbers.factor * own, sum)", "by_factor(F(numbers.factor), sum)"),
        ("let own = load_row_weights(row.rows);", "let own = F(1.0);"),
        ("table(TABLE_CLASS, columns.y)", "table(TABLE_COLUMN, columns.y)"),
        ("table(TABLE_COLUMN, j)", "table(TABLE_CLASS, j)"),
        ("- log_weight)", ")"),
        ("return g + old_gradients(row.gradient, j);", "return g;"),
        ("x.cross * of_x", "x.cross"),
        ("EXPERT_FIELDS * expert", "EXPERT_FIELDS * 0u"),
        ("by_factor(F(divergence_inverse()), numbers.slope", "by_factor(F(1.0), numbers.slope"),
        ("unpack2x16float(teacher[i >> 1u])", "unpack2x16float(teacher[(i + 1u) >> 1u])"),
        ("select(word << 16u, word & 0xffff0000u,", "select(word & 0xffff0000u, word << 16u,"),
        ("let word = teacher[i >> 1u];", "let word = teacher[i >> 1u] & 0xff00ff00u;"),
    ];
    let kernels = context().kernels();
    for edit in &edits {
        let wrong = kernels.edited(&[*edit]);
        let noticed = problems(9, 37).into_iter().enumerate().any(|(turn, problem)| {
            let teacher_element = [None, Some(Element::F16), Some(Element::Bf16)][turn % 3];
            let problem = Problem { teacher_element, ..problem }.rounded(Element::F32, Element::F32);
            // The same layout on every adapter: rows of several blocks.
            let manner = Manner { choice: Some(RowChoice::stream(4, 8)), ..Manner::default() };
            let old = problem.clone().with_old();
            [problem, old]
                .iter()
                .any(|problem| error(problem, manner, &problem.run(&wrong, manner).unwrap().1) > 1.0)
        });
        assert!(noticed, "{edit:?}");
    }
}
