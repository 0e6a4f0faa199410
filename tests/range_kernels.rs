//! Range loss's kernels against the f64 reference.
//!
//! Errors: a distance is off by an ulp for each of its squares, relative to itself; a centre by an ulp of the largest
//! feature for each row, which between centres that are near each other is more. Features are drawn so that no two
//! distances are as near each other as that.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/losses.rs"]
mod losses;

use gpu::{Got, Manner, Up, context, kernels_with};
use longtail::gpu::{Kernels, Mode, Storage};
use longtail::{Error, Loss, RangeLoss, reference};
use losses::{Problem, manners, rounding, worst};

const EPSILON: f64 = f32::EPSILON as f64;

fn spec(problem: &Problem) -> &RangeLoss {
    match &problem.loss {
        Loss::Range(spec) => spec,
        other => panic!("{other:?}"),
    }
}

/// The largest error in units of what is allowed.
fn error(problem: &Problem, manner: Manner, got: &Got) -> f64 {
    let spec = spec(problem);
    let up = match manner.mode {
        Mode::LossAndGrad => Up::One,
        _ => manner.upstream,
    };
    let upstream = problem.reference_upstream(up);
    let want = reference::range(spec, &problem.wide(), problem.classes, &problem.labels, upstream).unwrap();
    let largest = problem.logits.iter().fold(0.0, |most: f64, value| most.max(f64::from(value.abs())));
    let ulps = EPSILON * (16.0 + (problem.rows + problem.classes) as f64);
    let scale = if let Up::Scalar(value) = up { f64::from(value.abs()) } else { 1.0 };
    let slope = spec.intra_weight + spec.inter_weight;
    let old = |index: usize| problem.old.as_ref().map_or(0.0, |old| f64::from(old[index]));
    let gradient: Vec<f64> = want.gradient.iter().enumerate().map(|(at, g)| g + old(at)).collect();
    let element = manner.gradient();
    [
        worst(&[got.loss], &[want.loss], |_| ulps * (want.intra + largest + spec.margin) * slope),
        worst(&got.gradient, &gradient, |index| {
            rounding(element, gradient[index]) + EPSILON * old(index).abs() + 8.0 * ulps * scale * slope
        }),
        if got.status.is_some() { f64::INFINITY } else { 0.0 },
    ]
    .into_iter()
    .fold(0.0, f64::max)
}

fn check(kernels: &Kernels, problem: &Problem, manner: Manner) {
    let problem = problem.clone().rounded(manner.elements.0, manner.gradient());
    let (_, got) = problem.run(kernels, manner).unwrap_or_else(|error| panic!("{manner:?}: {error}"));
    let ratio = error(&problem, manner, &got);
    assert!(
        ratio <= 1.0,
        "{ratio} times what is allowed: {} x {} in {manner:?}",
        problem.rows,
        problem.classes
    );
}

/// Many pairs and few, a margin that counts and one that does not, labels that are no classes, ignored rows.
fn problems(rows: usize, dimension: usize) -> Vec<Problem> {
    let specs = [
        RangeLoss::default(),
        RangeLoss::new(3, 50.0).with_weights(0.75, 2.0),
        RangeLoss::new(1, 20.0).with_ignore_index(None),
        RangeLoss::new(64, 9.0),
    ];
    specs
        .into_iter()
        .enumerate()
        .map(|(seed, spec)| {
            let mut problem = Problem::new(spec, rows, dimension, 3, seed as u32);
            for (row, label) in problem.labels.iter_mut().enumerate() {
                *label = if row % 5 == 3 { -100 } else { 7_000_000 * *label - 3 };
            }
            problem
        })
        .collect()
}

#[test]
fn every_manner() {
    let kernels = context().kernels();
    let (mut cases, mut refused) = (0, 0);
    for (seed, (rows, dimension)) in [(1, 3), (2, 1), (12, 5), (21, 40)].into_iter().enumerate() {
        for (index, problem) in problems(rows, dimension).into_iter().enumerate() {
            for (turn, manner) in manners().into_iter().enumerate() {
                if (turn + index + seed) % 2 == 0 {
                    continue;
                }
                if manner.storage == Storage::InPlace {
                    let error = problem.run(kernels, manner).unwrap_err();
                    assert!(matches!(error, Error::Combination { .. }), "{error}");
                    refused += 1;
                    continue;
                }
                if manner.block > 0 && rows > manner.block {
                    let error = problem.run(kernels, manner).unwrap_err();
                    assert!(matches!(error, Error::Limit { .. }), "{error}");
                    refused += 1;
                    continue;
                }
                if manner.upstream == Up::PerRow {
                    continue;
                }
                check(kernels, &problem, manner);
                check(kernels, &problem.clone().with_old(), manner);
                cases += 2;
            }
        }
    }
    println!("{cases} cases on the adapter, {refused} refused");
    assert!(cases > 80);
}

#[test]
fn limits() {
    let kernels = kernels_with(|limits| limits.max_storage_buffer_binding_size = 4096);
    let error = problems(70, 40)[0].run(&kernels, Manner::default()).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    let kernels = context().kernels();
    let many = Problem::new(RangeLoss::new(65, 1.0), 3, 2, 2, 1);
    assert!(matches!(many.run(kernels, Manner::default()), Err(Error::Limit { needed: 65, .. })));
    let per_row = Manner { mode: Mode::ForwardBackward, upstream: Up::PerRow, ..Manner::default() };
    let error = problems(12, 5)[0].run(kernels, per_row).unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }), "{error}");
}

/// Rows on top of each other have no direction, and rows that are no numbers no value.
#[test]
fn hostile_rows() {
    let kernels = context().kernels();
    let mut problem = Problem::new(RangeLoss::new(2, 9.0), 4, 2, 1, 3);
    problem.logits = vec![1.0, 2.0, 1.0, 2.0, 5.0, 2.0, 5.0, 2.0];
    problem.labels = vec![0, 0, 1, 1];
    check(kernels, &problem, Manner::default());
    problem.logits[4..].copy_from_slice(&[1.0, 2.0, 1.0, 2.0]);
    check(kernels, &problem, Manner::default());
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut problem = problems(12, 5).remove(0);
        // An ignored row.
        problem.logits[3 * 5 + 1] = bad;
        let (_, got) = problem.run(kernels, Manner::default()).unwrap();
        assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 3, rows: 1 }));
        assert!(got.loss.is_nan());
    }
    let mut ignored = problems(4, 3).remove(0);
    ignored.labels.fill(-100);
    let (_, got) = ignored.run(kernels, Manner::default()).unwrap();
    assert_eq!(got.loss, 0.0);
    assert!(got.gradient.iter().all(|slope| *slope == 0.0));
    let none = Problem::new(RangeLoss::default(), 0, 3, 1, 1);
    assert_eq!(none.run(kernels, Manner::default()).unwrap().1.loss, 0.0);
}

#[test]
fn again_updated_and_slices() {
    let kernels = context().kernels();
    for problem in problems(21, 8) {
        let manner = Manner::default();
        let (mut plan, first) = problem.run(kernels, manner).unwrap();
        let again = problem.pass(kernels, &plan, manner).unwrap();
        assert_eq!(format!("{first:?}"), format!("{again:?}"));
        let other = spec(&problem).clone().with_weights(2.0, 0.25);
        plan.update(&other).unwrap();
        let mut pairs = other.clone();
        pairs.pairs += 1;
        assert!(matches!(plan.update(&pairs), Err(Error::Unexpected { .. })));
        let problem = Problem { loss: other.into(), ..problem };
        let ratio = error(&problem, manner, &problem.pass(kernels, &plan, manner).unwrap());
        assert!(ratio <= 1.0, "{ratio}");
        let found = context().loss_and_grad(&problem.loss, &problem.batch(&problem.logits)).unwrap();
        let got = Got { loss: found.loss, gradient: found.gradient, ..Got::default() };
        let ratio = error(&problem, manner, &got);
        assert!(ratio <= 1.0, "{ratio}");
    }
}

/// Wrong kernels are noticed.
#[test]
fn mutants() {
    let edits = [
        ("other > row", "other >= row"),
        ("x.distance > y.distance", "x.distance < y.distance"),
        ("b.x < a.x", "b.x > a.x"),
        ("found / sum", "sum / found"),
        ("(distance * distance * distance)", "(distance * distance)"),
        ("z - feature(b, j)", "z + feature(b, j)"),
        ("z - feature(a, j)", "feature(a, j) - z"),
        ("select(0.0, -1.0, row_class", "select(0.0, 1.0, row_class"),
        ("/ f32(held(SAVED_SIZE, row_class))", "/ 1.0"),
        ("return sum / f32(size)", "return sum"),
        ("distance < numbers.margin", "true"),
        ("return g + old_gradients(row.gradient, j);", "return g;"),
        ("label != numbers.ignore_index", "true"),
    ];
    let kernels = context().kernels();
    for edit in edits {
        let wrong = kernels.edited(&[edit]);
        let noticed = problems(21, 4).into_iter().any(|problem| {
            let manner = Manner::default();
            [problem.clone(), problem.with_old()]
                .iter()
                .any(|problem| error(problem, manner, &problem.run(&wrong, manner).unwrap().1) > 1.0)
        });
        assert!(noticed, "{edit:?}");
    }
}
