//! LADE's and objectness's kernels against the f64 reference.
//!
//! Errors: an exponential is off by as many ulps as its argument is large, a thread's sum of them, or of logits, by an
//! ulp for each; the regulariser by those of its columns by their weights. Objectness is two softmax losses, whose own
//! tests have their bounds; here it is their columns, labels and sums that are looked at.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/losses.rs"]
mod losses;

use gpu::{Got, Manner, Up, context, kernels_with};
use inputs::counts;
use longtail::gpu::{Kernels, Mode, PlanRequest, RowChoice, Shard, Storage};
use longtail::softmax::GateSource;
use longtail::{
    Element, Error, LadeLoss, Loss, ObjectnessLoss, Reduction, SoftmaxLoss, TargetKind, Targets, Upstream,
    reference,
};
use losses::{Problem, manners, rounding, worst};

const EPSILON: f64 = f32::EPSILON as f64;

/// What the reference gives of either loss, as far as both have it.
struct Want {
    loss: f64,
    row_loss: Option<Vec<f64>>,
    gradient: Vec<f64>,
    argmax: Option<Vec<u32>>,
    counts: Option<Vec<u64>>,
}

fn want(problem: &Problem, manner: Manner) -> Want {
    let logits = problem.wide();
    let batch = problem.batch(&logits);
    let upstream = problem.reference_upstream(match manner.mode {
        Mode::LossAndGrad => Up::One,
        _ => manner.upstream,
    });
    match &problem.loss {
        Loss::Lade(spec) => {
            let found = reference::lade(spec, &batch, upstream).unwrap();
            Want { loss: found.loss, row_loss: None, gradient: found.gradient, argmax: None, counts: None }
        }
        Loss::Objectness(spec) => {
            let found = reference::objectness(spec, &batch, upstream).unwrap();
            let rows = found.classes.row_loss.iter().zip(&found.objectness.row_loss);
            Want {
                loss: found.loss,
                row_loss: Some(rows.map(|(a, b)| a + b).collect()),
                gradient: found.gradient,
                argmax: Some(found.classes.argmax),
                counts: found.classes.counts,
            }
        }
        other => panic!("{other:?}"),
    }
}

/// The largest error in units of what is allowed.
fn error(problem: &Problem, manner: Manner, got: &Got) -> f64 {
    let want = want(problem, manner);
    let largest = problem.logits.iter().fold(0.0, |most: f64, logit| most.max(f64::from(logit.abs())));
    let (mut weight, mut slope) = (4.0, 8.0);
    let mut size = largest;
    if let Loss::Lade(spec) = &problem.loss {
        let ratio = spec.log_ratio.iter().fold(0.0, |most: f64, ratio| most.max(ratio.abs()));
        size += ratio;
        let classes = spec.class_weights.iter().sum::<f64>();
        weight = spec.weight * classes * (1.0 + spec.lambda * size);
        slope = spec.weight * spec.class_weights.iter().fold(0.0, |most: f64, weight| most.max(*weight));
        slope *= 1.0 + 2.0 * spec.lambda * size;
        if spec.cross_entropy.is_some() {
            (weight, slope) = (weight + 1.0, slope + 1.0);
        }
    }
    let lengths = (problem.rows + problem.classes) as f64 / 4.0;
    let ulps = EPSILON * (16.0 + 4.0 * size + lengths);
    let up = match manner.upstream {
        Up::Scalar(value) => f64::from(value.abs()),
        _ => 1.5,
    };
    let old = |index: usize| problem.old.as_ref().map_or(0.0, |old| f64::from(old[index]));
    let gradient: Vec<f64> = want.gradient.iter().enumerate().map(|(at, g)| g + old(at)).collect();
    let passes = match &problem.loss {
        Loss::Lade(spec) if spec.cross_entropy.is_some() => 2.0,
        _ => 1.0,
    };
    let element = manner.gradient();
    let rows = problem.rows.max(1) as f64;
    let row_loss = match &want.row_loss {
        Some(row_loss) => worst(&got.row_loss, row_loss, |_| ulps * (1.0 + size) * weight),
        None => 0.0,
    };
    [
        worst(&[got.loss], &[want.loss], |_| {
            ulps * (1.0 + size) * weight * if passes > 1.0 { 1.0 } else { rows.min(8.0) }
        }),
        row_loss,
        worst(&got.gradient, &gradient, |index| {
            let size = gradient[index].abs() + if passes > 1.0 { slope * up / rows } else { 0.0 };
            passes * rounding(element, size) + EPSILON * old(index).abs() + ulps * up * slope
        }),
        if want.argmax.is_some_and(|argmax| manner.argmax && got.argmax != argmax) {
            f64::INFINITY
        } else {
            0.0
        },
        if got.status.is_some() { f64::INFINITY } else { 0.0 },
    ]
    .into_iter()
    .fold(0.0, f64::max)
}

fn check(kernels: &Kernels, problem: &Problem, manner: Manner) {
    let problem = problem.clone().rounded(manner.elements.0, manner.gradient());
    let (plan, got) = problem.run(kernels, manner).unwrap_or_else(|error| panic!("{manner:?}: {error}"));
    let ratio = error(&problem, manner, &got);
    assert!(
        ratio <= 1.0,
        "{ratio} times what is allowed: {} x {} in {manner:?}",
        problem.rows,
        problem.classes
    );
    if let Some(counts) = want(&problem, manner).counts {
        assert_eq!(plan.counts().unwrap().read().unwrap(), counts);
    }
}

fn ignore(mut problem: Problem) -> Problem {
    for row in (2..problem.rows).step_by(4) {
        problem.labels[row] = -100;
    }
    problem
}

fn lade(rows: usize, classes: usize) -> Vec<Problem> {
    let counts = counts(classes);
    let plain = LadeLoss::regulariser(&counts, 0.5).with_weight(3.0);
    let whole = LadeLoss::lade(&counts).with_weight(0.5);
    [plain, whole]
        .into_iter()
        .map(|spec| ignore(Problem::new(spec, rows, classes, classes.min(rows.max(1)), rows as u32)))
        .collect()
}

fn objectness(rows: usize, classes: usize) -> Vec<Problem> {
    let counts = counts(classes);
    let seesaw = ObjectnessLoss::seesaw(&counts);
    let other = ObjectnessLoss::new(
        SoftmaxLoss::cross_entropy().with_label_smoothing(0.1),
        SoftmaxLoss::cross_entropy(),
    );
    let fixed = ObjectnessLoss::default().with_reduction(Reduction::Fixed(7.0));
    [seesaw, other, fixed]
        .into_iter()
        .enumerate()
        .map(|(seed, spec)| {
            let problem = ignore(Problem::new(spec, rows, classes + 2, classes + 1, seed as u32));
            if seed == 2 { problem.with_row_weights() } else { problem }
        })
        .collect()
}

#[test]
fn every_manner() {
    let kernels = context().kernels();
    let (mut cases, mut refused) = (0, 0);
    for (seed, (rows, classes)) in [(1, 1), (5, 7), (6, 64), (19, 131)].into_iter().enumerate() {
        for (index, problem) in lade(rows, classes).into_iter().chain(objectness(rows, classes)).enumerate() {
            for (turn, manner) in manners().into_iter().enumerate() {
                if (turn + index) % 4 != seed {
                    continue;
                }
                let is_lade = matches!(problem.loss, Loss::Lade(_));
                let based = matches!(&problem.loss, Loss::Lade(spec) if spec.cross_entropy.is_some());
                if is_lade
                    && manner.mode == Mode::ForwardBackward
                    && manner.upstream == Up::PerRow
                    && rows > 1
                {
                    let error = problem.run(kernels, manner).unwrap_err();
                    assert!(matches!(error, Error::Unexpected { .. }), "{error}");
                    refused += 1;
                    continue;
                }
                if is_lade && manner.upstream == Up::PerRow {
                    continue;
                }
                check(kernels, &problem, manner);
                cases += 1;
                // Each is one kernel more to compile.
                if is_lade && !based && manner.storage != Storage::InPlace && turn % 2 == 0 {
                    check(kernels, &problem.clone().with_old(), manner);
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} cases on the adapter, {refused} refused");
    assert!(cases > 90, "{cases}");
}

/// Ranges of rows and of classes: columns go on from one window to the next.
#[test]
fn windows() {
    let kernels = kernels_with(|limits| limits.max_storage_buffer_binding_size = 4096);
    let mut most = (0, 0);
    for (rows, classes) in [(61, 37), (5, 1500)] {
        for problem in lade(rows, classes).into_iter().chain(objectness(rows, classes)) {
            for mut manner in
                manners().into_iter().filter(|manner| manner.storage != Storage::InPlace).step_by(3)
            {
                if manner.upstream == Up::PerRow {
                    manner.upstream = Up::One;
                }
                let plan = match kernels.plan(&problem.loss, &problem.request(manner)) {
                    Ok(plan) => plan,
                    Err(error) => panic!("{error}"),
                };
                most = (most.0.max(plan.windows().0), most.1.max(plan.windows().1));
                check(&kernels, &problem, manner);
            }
        }
    }
    assert!(most.0 >= 3 && most.1 >= 2, "{most:?}");
}

/// What is chosen for GPUs: several threads have a column's rows, whose sums are merged.
#[test]
fn layouts_of_a_large_gpu() {
    let kernels = context().kernels().laid_out_as_on_a_gpu();
    let mut cases = 0;
    for (rows, classes) in [(1, 3), (61, 37), (200, 131)] {
        for problem in lade(rows, classes) {
            for mut manner in manners().into_iter().step_by(3) {
                if manner.upstream == Up::PerRow {
                    manner.upstream = Up::One;
                }
                check(&kernels, &problem, manner);
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 30, "{cases}");
    // A workgroup's sums.
    let wrong = kernels.edited(&[("a.own + b.own", "a.own")]);
    let problem = &lade(61, 37)[0];
    let manner = Manner::default();
    assert!(error(problem, manner, &problem.run(&wrong, manner).unwrap().1) > 1.0);
}

/// Losses beside the regulariser whose rows go along with its columns.
fn bases(counts: &longtail::ClassCounts) -> Vec<SoftmaxLoss> {
    let mut seesaw = SoftmaxLoss::seesaw(counts);
    // Without a floor.
    if let Some(seesaw) = &mut seesaw.seesaw {
        seesaw.eps = 0.0;
    }
    vec![
        SoftmaxLoss::balanced(counts),
        SoftmaxLoss::ldam(counts, 0.5, 3.0).unwrap(),
        seesaw,
        SoftmaxLoss::equalization(counts, 0.2, 0.7, 9, GateSource::Element).unwrap(),
        SoftmaxLoss::focal(2.0),
    ]
}

/// Sixteen rows at a time: problems, and the width of the workgroups.
fn sixteen_rows(rows: usize, classes: usize, workgroup: u32) -> (Vec<Problem>, Manner) {
    let counts = counts(classes);
    let problems = bases(&counts).into_iter().enumerate().map(|(seed, base)| {
        let spec = LadeLoss::lade(&counts).with_weight(0.5).with_cross_entropy(Some(base));
        ignore(Problem::new(spec, rows, classes, classes.min(rows.max(1)), seed as u32))
    });
    (problems.collect(), Manner { choice: Some(RowChoice::stream(16, workgroup)), ..Manner::default() })
}

/// Rows and columns in one pass, in workgroups of several sixteen rows, threads of several stretches, and every element.
#[test]
fn rows_and_columns_at_once() {
    let kernels = context().kernels();
    let mut cases = 0;
    let shapes = [(1, 1, 4), (5, 7, 4), (16, 64, 8), (33, 37, 8), (19, 131, 64), (200, 11, 8), (17, 1100, 2)];
    let all = manners();
    for (rows, classes, workgroup) in shapes {
        let (problems, plain) = sixteen_rows(rows, classes, workgroup);
        for problem in &problems {
            let mut manner = Manner { choice: plain.choice, ..all[7 * cases % all.len()] };
            if manner.upstream == Up::PerRow {
                manner.upstream = Up::Scalar(-2.5);
            }
            let plan = kernels.plan(&problem.loss, &problem.request(manner)).unwrap();
            assert!(format!("{plan:?}").contains("AndColumns"), "rows and columns apart: {manner:?}");
            check(kernels, problem, manner);
            cases += 1;
        }
    }
    println!("{cases} cases on the adapter");
    assert!(cases > 30, "{cases}");
}

/// The same in windows of rows, of which each takes the place of the former's parts; and what is wrong with a batch.
#[test]
fn rows_and_columns_of_windows_and_bad_rows() {
    let few = kernels_with(|limits| limits.max_storage_buffer_binding_size = 4096);
    let (problems, manner) = sixteen_rows(61, 37, 8);
    for problem in &problems {
        let plan = few.plan(&problem.loss, &problem.request(manner)).unwrap();
        assert!(plan.windows().0 >= 3 && plan.windows().1 == 1, "{:?}", plan.windows());
        check(&few, problem, manner);
    }
    let kernels = context().kernels();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (mut problems, manner) = sixteen_rows(19, 7, 8);
        // One of an ignored row, and one that counts.
        for at in [2, 17] {
            let problem = &mut problems[0].clone();
            problem.logits[7 * at + 3] = bad;
            let (_, got) = problem.run(kernels, manner).unwrap();
            assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: at as u64, rows: 1 }));
            assert!(got.loss.is_nan() && got.row_loss[at].is_nan());
        }
        problems[0].labels.fill(-100);
        let (_, got) = problems[0].run(kernels, manner).unwrap();
        assert_eq!(got.loss, 0.0);
        assert!(got.gradient.iter().all(|slope| *slope == 0.0), "{:?}", got.gradient);
    }
    let problem = Problem::new(problems[0].loss.clone(), 0, 37, 2, 1);
    assert_eq!(problem.run(kernels, manner).unwrap().1.loss, 0.0);
}

/// Wrong edits of these kernels, each noticed by a batch whose workgroups have several sixteen rows.
#[test]
fn rows_and_columns_edited() {
    let kernels = context().kernels();
    let edits = [
        ("column_parts[above] * exp(old - top)", "column_parts[above]"),
        ("sixteen == part);", "true);"),
        ("4u * sixteen + 3u, own.d", "4u * sixteen + 3u, own.c"),
        ("if (any_lane(top > mass.max)) {", "if (false) {"),
        ("row.live & (row.first_label >= I(0))", "(row.first_label >= I(0))"),
        ("row.live & (row.first_label >= I(0))", "row.live"),
        ("begin += STRETCH * WG", "begin += 2u * STRETCH * WG"),
        ("both(all.b, own.b)", "own.b"),
        ("all = OwnSixteen(both(all.a", "all = OwnSixteen(both(own.a"),
        ("b.sum * exp(b.max - top)", "b.sum"),
        ("(window.rows + 15u) / 16u", "window.rows / 16u"),
        ("(*mine).count += select(vec4<f32>(0.0), vec4<f32>(1.0), own);", ""),
        ("label - i32(window.first_class)", "0"),
    ];
    for (from, to) in edits {
        let wrong = kernels.edited(&[(from, to)]);
        let noticed = [(200, 11, 8), (17, 1100, 2)].into_iter().any(|(rows, classes, workgroup)| {
            let (problems, manner) = sixteen_rows(rows, classes, workgroup);
            let (_, got) = problems[0].run(&wrong, manner).unwrap();
            // NaN is an error too.
            let ratio = error(&problems[0], manner, &got);
            ratio.is_nan() || ratio > 1.0
        });
        assert!(noticed, "{from} -> {to}");
    }
}

/// What no plan of these losses does.
#[test]
fn refused_requests() {
    let kernels = context().kernels();
    let counts = counts(7);
    let request = PlanRequest::new(5, 7);
    let refused = |loss: Loss<'static>, request: &PlanRequest| kernels.plan(&loss, request).unwrap_err();
    let unexpected = |error: Error| assert!(matches!(error, Error::Unexpected { .. }), "{error}");
    let added = request.clone().with_added_gradient();
    unexpected(refused(SoftmaxLoss::cross_entropy().into(), &added));
    unexpected(refused(LadeLoss::lade(&counts).into(), &added));
    unexpected(refused(ObjectnessLoss::default().into(), &added));
    let regulariser = || Loss::from(LadeLoss::regulariser(&counts, 0.1));
    unexpected(refused(regulariser(), &request.clone().with_class_scale_gradient()));
    unexpected(refused(regulariser(), &request.clone().with_row_weights()));
    unexpected(refused(
        regulariser(),
        &request.clone().with_shard(Shard { index: 0, shards: 2, classes: 0..3 }),
    ));
    let in_place = added.with_storage(Storage::InPlace);
    let error = refused(regulariser(), &in_place);
    assert!(matches!(error, Error::Combination { .. }), "{error}");
    let soft = request.clone().with_targets(TargetKind::Soft);
    for loss in [regulariser(), ObjectnessLoss::default().into()] {
        let error = refused(loss, &soft);
        assert!(matches!(error, Error::Combination { .. }), "{error}");
    }
    let given = ObjectnessLoss::new(SoftmaxLoss::equalization_given(), SoftmaxLoss::cross_entropy());
    let error = refused(given.into(), &request);
    assert!(matches!(error, Error::Combination { first: "given gates", .. }), "{error}");
    let error = refused(ObjectnessLoss::default().into(), &PlanRequest::new(5, 2));
    assert!(matches!(error, Error::Parameter { .. }), "{error}");
}

/// Many rows: more than one sum, and columns of thousands.
#[test]
fn many_rows() {
    let kernels = context().kernels();
    for problem in lade(9000, 3).into_iter().chain(objectness(9000, 3)) {
        check(kernels, &problem, Manner { elements: (Element::F16, Element::F32), ..Manner::default() });
    }
    for (workgroup, split) in [(1, 2), (64, 3)] {
        let choice = Some(RowChoice::stream(1, workgroup).with_split(split));
        check(kernels, &lade(3, 4099)[0], Manner { choice, ..Manner::default() });
    }
}

/// The parts one after the other into one gradient are the whole.
#[test]
fn added_by_hand() {
    let kernels = context().kernels();
    let whole = lade(5, 7).remove(1);
    let Loss::Lade(spec) = &whole.loss else { panic!() };
    let manner = Manner::default();
    let first = Problem { loss: spec.cross_entropy.clone().unwrap().into(), ..whole.clone() };
    let (_, first) = first.run(kernels, manner).unwrap();
    let second = spec.as_ref().clone().with_cross_entropy(None);
    let second = Problem { loss: second.into(), old: Some(first.gradient.clone()), ..whole.clone() };
    let (_, second) = second.run(kernels, manner).unwrap();
    let (_, all) = whole.run(kernels, manner).unwrap();
    // Rows on chip have an exponential as a product of two, of 1.5 units in the last place more.
    let largest = all.gradient.iter().fold(0.0f32, |top, g| top.max(g.abs()));
    for (second, all) in second.gradient.iter().zip(&all.gradient) {
        assert!((second - all).abs() <= 4.0 * f32::EPSILON * largest, "{second} {all}");
    }
    assert_eq!(first.loss + second.loss, all.loss);
}

#[test]
fn hostile_rows() {
    let kernels = context().kernels();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for problem in lade(5, 7) {
            // An ignored row is looked at too.
            let mut problem = Problem { logits: problem.logits, ..problem };
            problem.logits[16] = bad;
            let (_, got) = problem.run(kernels, Manner::default()).unwrap();
            assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 2, rows: 1 }));
            assert!(got.loss.is_nan() && got.row_loss[2].is_nan());
        }
    }
    for position in [9 + 2, 9 + 7] {
        let mut problem = objectness(5, 7).remove(0);
        problem.logits[position] = f32::NAN;
        let (_, got) = problem.run(kernels, Manner::default()).unwrap();
        assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 1, rows: 1 }));
        assert!(got.loss.is_nan());
    }
    for (mut problem, label, classes) in [
        (lade(5, 7).remove(0), 7, 7),
        (lade(5, 7).remove(1), -1, 7),
        (objectness(5, 7).remove(0), 8, 8),
        (objectness(5, 7).remove(0), -1, 8),
    ] {
        problem.labels[3] = label;
        let (_, got) = problem.run(kernels, Manner::default()).unwrap();
        let expected = Error::Label { row: 3, label: None, classes, rows: 1 };
        assert_eq!(got.status, Some(expected));
        assert!(got.loss.is_nan());
    }
    // Large logits stay finite.
    let mut problem = lade(4, 3).remove(0);
    problem.logits[..6].copy_from_slice(&[1e4, -1e4, 2e4, 1e4, -2e4, 0.0]);
    check(kernels, &problem, Manner::default());
}

#[test]
fn nothing_counts() {
    let kernels = context().kernels();
    for problem in lade(3, 4).into_iter().chain(objectness(3, 2)) {
        let mut ignored = problem.clone();
        ignored.labels.fill(-100);
        let (_, got) = ignored.run(kernels, Manner::default()).unwrap();
        assert_eq!(got.loss, 0.0);
        assert!(got.gradient.iter().all(|slope| *slope == 0.0), "{:?}", got.gradient);
        let none = Problem::new(problem.loss.clone(), 0, 4, 2, 1);
        assert_eq!(none.run(kernels, Manner::default()).unwrap().1.loss, 0.0);
    }
}

#[test]
fn again_and_updated() {
    let kernels = context().kernels();
    for problem in lade(19, 37) {
        let Loss::Lade(spec) = &problem.loss else { panic!() };
        let manner = Manner::default();
        let (mut plan, first) = problem.run(kernels, manner).unwrap();
        let again = problem.pass(kernels, &plan, manner).unwrap();
        assert_eq!(format!("{first:?}"), format!("{again:?}"));
        let heavier = spec.as_ref().clone().with_weight(7.0).with_lambda(0.25);
        let other = heavier.clone().with_cross_entropy(match &spec.cross_entropy {
            None => Some(SoftmaxLoss::cross_entropy()),
            Some(_) => None,
        });
        assert!(matches!(plan.update(&other), Err(Error::Unexpected { .. })));
        plan.update(&heavier).unwrap();
        let problem = Problem { loss: heavier.into(), ..problem };
        let ratio = error(&problem, manner, &problem.pass(kernels, &plan, manner).unwrap());
        assert!(ratio <= 1.0, "{ratio}");
    }
    // Counts go on with each pass.
    let problem = objectness(5, 7).remove(0);
    let (plan, _) = problem.run(kernels, Manner::default()).unwrap();
    let before: u64 = plan.counts().unwrap().read().unwrap().iter().sum();
    problem.pass(kernels, &plan, Manner::default()).unwrap();
    let objects = problem.labels.iter().filter(|label| (0..7).contains(*label)).count() as u64;
    assert_eq!(plan.counts().unwrap().read().unwrap().iter().sum::<u64>(), before + objects);
}

/// Slices, in f32 and through sessions.
#[test]
fn slices() {
    let context = context();
    for problem in lade(5, 7).into_iter().chain(objectness(5, 7)) {
        let batch = problem.batch(&problem.logits);
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
        let again = context.forward_backward(&problem.loss, &batch, Upstream::One).unwrap();
        assert!(
            worst(&again.gradient, &got.gradient.iter().map(|g| f64::from(*g)).collect::<Vec<_>>(), |_| 1e-6)
                <= 1.0
        );
        assert!(!matches!(batch.targets, Targets::Soft(_)));
    }
}

/// Wrong kernels are noticed.
#[test]
fn mutants() {
    let edits = [
        ("z + ratio", "z - ratio"),
        (
            "(*mine).count += select(vec4<f32>(0.0), vec4<f32>(1.0)",
            "(*mine).count += select(vec4<f32>(0.0), vec4<f32>(1.01)",
        ),
        ("row += ROWS_AT_ONCE * ROW_THREADS", "row += 2u * ROWS_AT_ONCE * ROW_THREADS"),
        ("line(row + 3u", "line(row + 2u"),
        // Rows past the last, of a run of four that sticks out.
        ("+ inside]), row < window.rows);", "+ inside]), true);"),
        ("+ exp(d.x - top)", "+ exp(c.x - top)"),
        ("mine.sum * exp(mine.max - top) + sum", "mine.sum + sum"),
        ("add_own(&mine, d.z, vec4<i32>(d.label)", "add_own(&mine, c.z, vec4<i32>(c.label)"),
        ("(c.kept + d.kept)", "c.kept"),
        ("- log(kept)", "+ log(kept)"),
        ("numbers.lambda * second * second", "numbers.lambda * second"),
        ("2.0 * numbers.lambda", "numbers.lambda"),
        ("* exp(x) - own)", "* exp(x) + own)"),
        ("counts = label >= 0", "counts = label >= -1"),
        ("load_upstream_lanes(rows), label >= I(0))", "load_upstream_lanes(rows), label >= I(-1))"),
        ("return g + column_term(j, z);", "return g;"),
        ("return spec.regulariser_column;", "return spec.regulariser_column + 1u;"),
        ("return g + old_gradients(row.gradient, j);", "return g;"),
        ("bitcast<u32>(a + b)", "bitcast<u32>(a - b)"),
        ("object = 1;", "object = 0;"),
        ("class_label = label_numbers.ignored", "class_label = 0"),
        ("object = label_numbers.ignored;", "object = 0;"),
    ];
    let kernels = context().kernels();
    for edit in edits {
        let wrong = kernels.edited(&[edit]);
        // Columns are walked in steps of up to 64 rows.
        let noticed = lade(9, 17).into_iter().chain(objectness(9, 17)).chain(lade(150, 17)).any(|problem| {
            let manner = Manner::default();
            let based = !matches!(&problem.loss, Loss::Lade(spec) if spec.cross_entropy.is_none());
            let problems = if based { vec![problem] } else { vec![problem.clone(), problem.with_old()] };
            problems
                .iter()
                .any(|problem| error(problem, manner, &problem.run(&wrong, manner).unwrap().1) > 1.0)
        });
        assert!(noticed, "{edit:?}");
    }
}
