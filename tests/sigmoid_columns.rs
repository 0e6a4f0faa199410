//! Sigmoids down the columns, against the f64 reference: losses that accumulate gradients and some that do not, over
//! numbers of rows around a workgroup's, shapes, passes, storage, strides, element types, pieces and windows.

#[path = "support/cases.rs"]
mod cases;
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

use cases::PASSES;
use gpu::{Manner, context, kernels_with};
use inputs::Data;
use longtail::gpu::{Mode, Plan, Program, RowChoice, SigmoidDriver, Storage};
use longtail::sigmoid::Focal;
use longtail::{Element, Error, Reduction, SigmoidLoss, TargetKind};
use sigmoid_cases::{REDUCTIONS, data, named};
use sigmoid_tally::{Tally, run};

/// Losses that accumulate gradients, and one with another look at rows.
const SUBJECTS: [(&str, TargetKind); 6] = [
    ("gradient balance", TargetKind::Hard),
    ("gradient balance", TargetKind::MultiHot),
    ("equalization_v2", TargetKind::Hard),
    ("everything", TargetKind::MultiHot),
    ("gradient balance with a background column", TargetKind::Hard),
    ("drawn rows and gates", TargetKind::Hard),
];

const CHOICES: [RowChoice; 5] = [
    RowChoice::stream(16, 8),
    RowChoice::stream(32, 4).with_split(2),
    RowChoice::stream(128, 8),
    RowChoice::stream(64, 2).with_split(3),
    RowChoice::stream(16, 1),
];

fn goes_down(plan: &Plan) -> bool {
    let down = |program: &Program| match program {
        Program::Sigmoid(key) => key.driver == SigmoidDriver::DownColumns,
        _ => false,
    };
    plan.kernels().iter().any(|(program, _)| down(program))
}

/// One form of kernels, which take a while to compile, in several numbers of rows.
fn check(tally: &mut Tally, turn: usize, numbers: &[usize], classes: usize, manner: Manner) {
    let (name, kind) = SUBJECTS[turn % SUBJECTS.len()];
    for (seed, &rows) in numbers.iter().enumerate() {
        let spec = named(name).spec(classes).with_reduction(REDUCTIONS[(turn + seed) % REDUCTIONS.len()]);
        let data = data(&spec, rows, classes, kind, turn + seed);
        let plan = tally.check(context().kernels(), name, &spec, &data, manner);
        assert!(goes_down(&plan), "{name} {kind:?} {manner:?}");
    }
}

fn manner(turn: usize) -> Manner {
    let (mode, storage, upstream) = PASSES[turn % PASSES.len()];
    Manner {
        mode,
        storage,
        choice: Some(CHOICES[turn % CHOICES.len()]),
        gaps: [(0, 0), (3, 0), (0, 5), (1, 2)][turn % 4],
        upstream,
        argmax: turn % 3 != 1,
        ..Manner::default()
    }
}

/// Fewer rows than sixteen, their multiples, and what lies around a workgroup's; classes around a step's.
#[test]
fn numbers_of_rows_and_columns() {
    let mut tally = Tally::default();
    for (turn, classes) in [31, 64, 71, 9, 2, 40, 33].into_iter().enumerate() {
        check(&mut tally, turn, &[1, 5, 15, 16, 17, 33, 64, 70, 128, 131, 263], classes, manner(turn));
    }
    tally.end("down the columns");
}

/// A thread of a workgroup of its own has every column of 128 rows, eight times 9,001 steps: more than a kernel's loops may
/// have. So rows come in pieces that nobody asked for.
#[test]
fn long_columns_and_long_rows() {
    let mut tally = Tally::default();
    let choice = Some(RowChoice::stream(128, 1));
    check(&mut tally, 2, &[129], 9001, Manner { choice, ..Manner::default() });
    tally.end("long rows down the columns");
}

/// Pairs in a word: odd and even rows and strides, so that a row's ends share their words, or lie apart; the device's own
/// f16; pairs of logits across two words.
#[test]
fn elements_of_16_bits() {
    let mut tally = Tally::default();
    for (turn, (logits, gradient, gaps, classes)) in [
        (Element::F16, Element::F16, (0, 0), 37),
        (Element::Bf16, Element::Bf16, (0, 1), 64),
        (Element::F16, Element::F32, (1, 0), 33),
        (Element::F32, Element::Bf16, (3, 2), 131),
        (Element::Bf16, Element::F16, (1, 1), 38),
        (Element::F16, Element::F16, (2, 2), 2),
        (Element::F16, Element::F16, (0, 0), 9),
    ]
    .into_iter()
    .enumerate()
    {
        let mut manner = Manner { gaps, elements: (logits, gradient), ..manner(turn) };
        if manner.storage == Storage::InPlace {
            manner.elements.1 = manner.elements.0;
        }
        if turn == 5 {
            manner.choice = manner.choice.map(RowChoice::with_native_f16);
        }
        check(&mut tally, turn, &[3, 19, 40, 70, 133], classes, manner);
    }
    tally.end("pairs down the columns");
}

/// Bindings of some hundred bytes: windows of rows, each of which leaves its sums before the next, and windows of classes.
#[test]
fn windows() {
    let mut tally = Tally::default();
    for (bytes, shape, rows) in [(1280, (60, 7), true), (2560, (18, 301), false)] {
        let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = bytes);
        for turn in 0..4 {
            let spec = named("gradient balance").spec(shape.1);
            let kind = SUBJECTS[turn % 2].1;
            let data = data(&spec, shape.0, shape.1, kind, turn);
            let plan = tally.check(&small, "gradient balance", &spec, &data, manner(turn));
            assert!(goes_down(&plan));
            let (of_rows, of_classes) = plan.windows();
            assert!(if rows { of_rows > 1 } else { of_classes > 1 }, "{:?}", plan.windows());
        }
    }
    tally.end("windows down the columns");
}

fn batch(spec: &SigmoidLoss, rows: usize, classes: usize) -> Data {
    data(spec, rows, classes, TargetKind::Hard, 0)
}

/// The layout is chosen where a column is summed and whole groups of sixteen rows leave little over, and not elsewhere.
#[test]
fn chosen_where_columns_are_summed() {
    let kernels = context().kernels();
    let mut cases = 0;
    for (name, rows, classes, down) in [
        ("equalization_v2", 512, 1204, true),
        ("equalization_v2", 40, 12, true),
        ("equalization_v2", 20, 12, false),
        ("equalization_v2", 3, 12, false),
        ("bce", 512, 1204, false),
    ] {
        let spec = named(name).spec(classes);
        let plan =
            kernels.plan(&spec, &gpu::request(&batch(&spec, rows, classes), Manner::default())).unwrap();
        assert_eq!(goes_down(&plan), down, "{name} {rows} x {classes}");
        cases += 1;
    }
    // Nine storage buffers are more than every device has.
    let mut spec = named("gradient balance").spec(12).with_given_weights(true);
    spec.focal = Some(Focal::new(2.0));
    let batch = data(&spec, 40, 12, TargetKind::MultiHot, 2);
    let mut tally = Tally::default();
    for (storage, down) in [(Storage::Separate, false), (Storage::Shared, false), (Storage::InPlace, true)] {
        let manner = Manner { storage, choice: Some(CHOICES[0]), ..Manner::default() };
        let plan = tally.check(kernels, "given weights", &spec, &batch, manner);
        assert_eq!(goes_down(&plan), down, "{storage:?}");
    }
    tally.end("chosen layouts");
    println!("{cases} GPU cases");
}

#[test]
fn other_numbers_of_rows_are_refused() {
    let spec = named("gradient balance").spec(12);
    for lanes in [0, 2, 8, 17, 48, 256, 1024] {
        let manner = Manner { choice: Some(RowChoice::stream(lanes, 8)), ..Manner::default() };
        let plan = context().kernels().plan(&spec, &gpu::request(&batch(&spec, 40, 12), manner));
        assert!(matches!(plan, Err(Error::Parameter { name: "rows per thread", .. })), "{lanes}");
    }
}

/// The same bits on two runs, and wherever the gradient lies.
#[test]
fn same_bits() {
    let kernels = context().kernels();
    let mut cases = 0;
    for (name, elements) in
        [("everything", Element::F32), ("gradient balance", Element::F32), ("gradient balance", Element::F16)]
    {
        let spec = named(name).spec(133);
        let data = batch(&spec, 150, 133).rounded_to(elements);
        for choice in [RowChoice::stream(64, 8), RowChoice::stream(32, 4).with_split(2)] {
            let choice = Some(choice);
            let manner = Manner { choice, elements: (elements, elements), ..Manner::default() };
            let (plan, first) = run(kernels, &spec, &data, manner).unwrap();
            let sums = plan.gradient_sums().unwrap().read().unwrap();
            for storage in [Storage::Separate, Storage::InPlace, Storage::Shared] {
                let (plan, again) = run(kernels, &spec, &data, Manner { storage, ..manner }).unwrap();
                assert_eq!(again, first, "{name} {storage:?}");
                assert_eq!(plan.gradient_sums().unwrap().read().unwrap(), sums, "{name} {storage:?}");
                cases += 1;
            }
        }
    }
    println!("{cases} GPU cases");
}

/// Bad labels and logits: the status names the first, their rows are NaN, the others' losses and gradients are as without
/// them, and what has been accumulated is that of the others. Ignored rows add as little.
#[test]
fn bad_rows() {
    let kernels = context().kernels();
    let (rows, classes) = (41, 37);
    let mut cases = 0;
    let spec =
        named("gradient balance").spec(classes).with_reduction(Reduction::Sum).with_ignore_index(Some(-100));
    let manners = [
        Manner { choice: Some(RowChoice::stream(16, 8)), ..Manner::default() },
        Manner {
            choice: Some(RowChoice::stream(32, 4).with_split(2)),
            mode: Mode::ForwardBackward,
            ..Manner::default()
        },
        Manner {
            choice: Some(RowChoice::stream(64, 8)),
            elements: (Element::F16, Element::F16),
            storage: Storage::InPlace,
            ..Manner::default()
        },
    ];
    for manner in manners {
        let mut ignored = batch(&spec, rows, classes).rounded_to(manner.elements.0);
        ignored.labels[18] = -100;
        let mut wrong = ignored.clone();
        wrong.labels[18] = 99;
        let (plan, want) = run(kernels, &spec, &ignored, manner).unwrap();
        let sums = plan.gradient_sums().unwrap().read().unwrap();
        let (plan, got) = run(kernels, &spec, &wrong, manner).unwrap();
        assert_eq!(got.status, Some(Error::Label { row: 18, label: None, classes, rows: 1 }));
        assert!(got.loss.is_nan() && got.row_loss[18].is_nan());
        let of_row = |row: usize| row * classes..(row + 1) * classes;
        assert!(got.gradient[of_row(18)].iter().all(|g| g.is_nan()));
        for row in (0..rows).filter(|row| *row != 18) {
            assert_eq!(got.gradient[of_row(row)], want.gradient[of_row(row)], "{row} {manner:?}");
            assert_eq!(got.row_loss[row], want.row_loss[row], "{row} {manner:?}");
        }
        assert_eq!(plan.gradient_sums().unwrap().read().unwrap(), sums, "{manner:?}");
        for column in [0, 20, classes - 1] {
            for bad in [f32::NAN, f32::INFINITY] {
                let mut wrong = ignored.clone();
                wrong.logits[40 * classes + column] = bad;
                let (plan, got) = run(kernels, &spec, &wrong, manner).unwrap();
                assert_eq!(got.status, Some(Error::NonFinite { what: "logits", row: 40, rows: 1 }));
                assert!(got.row_loss[40].is_nan());
                for (index, g) in got.gradient.iter().enumerate() {
                    match index == 40 * classes + column {
                        true => assert!(g.is_nan(), "{bad} {column} {manner:?}"),
                        false => assert_eq!(*g, want.gradient[index], "{bad} {column} {manner:?}"),
                    }
                }
                let found = plan.gradient_sums().unwrap().read().unwrap();
                for class in (0..classes).filter(|class| *class != column) {
                    assert_eq!(found.positive[class], sums.positive[class]);
                    assert_eq!(found.negative[class], sums.negative[class]);
                }
                assert!(found.negative[column].is_finite() && found.positive[column].is_finite());
                cases += 1;
            }
        }
    }
    println!("{cases} GPU cases");
}
