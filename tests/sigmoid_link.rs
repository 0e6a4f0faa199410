//! The softmax link, whose loss and `sum_k d_k p_k` come from sums of powers of the probabilities up to 1/8 on the negative
//! side, from two sums for the positives of multi-hot targets, and from labels and likelier classes one by one: rows around
//! every border between these, against the f64 reference.
//!
//! The tolerance is the family's (`support/sigmoid_tolerance.rs`): relatively `24 e` and more for a probability, and each
//! of the two polynomials is off by less than `2 e`. What positives cost is a sum of which no term is negative.

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

use TargetKind::{Hard, MultiHot};
use cases::PASSES;
use gpu::{Manner, context, kernels_with};
use inputs::Data;
use longtail::gpu::{RowChoice, Storage};
use longtail::sigmoid::Link;
use longtail::{Batch, Element, Reduction, SigmoidLoss, TargetKind, Targets, Upstream, reference};
use sigmoid_cases::{data, named};
use sigmoid_tally::Tally;

/// Logits of likely classes and of those that have next to no part in a row: small ones, since tolerances grow with them.
const LIKELY: f32 = 4.0;
const FAR: f32 = -12.0;

fn noise(row: usize, class: usize) -> f32 {
    // The fractional parts of multiples of an irrational number, to a deviation of about 2.
    let x = ((row * 7919 + class + 1) as f64 * 0.618_033_988_749_894_9).fract()
        + ((class * class) as f64 * 0.37).fract();
    (x * 4.8 - 4.8) as f32
}

/// `count` classes of the same probability, `step` columns apart, and next to nothing for the others.
fn equal(row: &mut [f32], count: usize, step: usize) {
    row.fill(FAR);
    for k in 0..count {
        let class = k * step % row.len();
        row[class] = LIKELY;
    }
}

type Kind = fn(&mut [f32], usize);

/// What the rows are about; each for any number of classes.
const KINDS: [Kind; 18] = [
    // The label is certain, and certain to the last digit and beyond.
    |row, label| row[label] = 18.0,
    |row, label| row[label] = 45.0,
    |row, label| row[label] = 120.0,
    // Another class is.
    |row, label| row[(label + 1) % row.len()] = 18.0,
    |row, label| row[(label + 1) % row.len()] = 45.0,
    |row, label| row[(label + 1) % row.len()] = 75.0,
    // One thread of eight has two, three of the likely classes; each has one.
    |row, _| equal(row, 2, 8),
    |row, _| equal(row, 3, 8),
    |row, _| equal(row, 3, 1),
    // Around the border: 7 to 9 classes of one thread, 16 of one and of two.
    |row, _| equal(row, 7, 8),
    |row, _| equal(row, 8, 8),
    |row, _| equal(row, 9, 8),
    |row, _| equal(row, 16, 8),
    |row, _| equal(row, 16, 4),
    // All alike.
    |row, _| row.fill(-3.0),
    // Upwards and downwards.
    |row, _| {
        let step = 40.0 / row.len() as f32;
        row.iter_mut().enumerate().for_each(|(class, z)| *z = class as f32 * step - 20.0);
    },
    |row, _| {
        let step = 40.0 / row.len() as f32;
        row.iter_mut().enumerate().for_each(|(class, z)| *z = 20.0 - class as f32 * step);
    },
    // Masks, with or without the label.
    |row, label| {
        let masked = row.iter_mut().enumerate().filter(|(class, _)| class % 3 == 1 || class + 1 == label);
        masked.for_each(|(_, z)| *z = f32::NEG_INFINITY);
    },
];

/// A class's multi-hot target, by its distance from the label's column, columns being a circle.
type Hot = fn(usize) -> f32;

/// Which classes are positives. Threads have every eighth class, and four, eight or more that follow each other in blocks.
const HOTS: [Hot; 11] = [
    |_| 0.0,
    |far| if far == 0 { 1.0 } else { 0.0 },
    // Three of one thread's, and its neighbour.
    |far| if [0, 1, 8, 16].contains(&far) { 1.0 } else { 0.0 },
    |far| if far < 20 { 1.0 } else { 0.0 },
    |far| if far % 3 == 0 { 1.0 } else { 0.0 },
    |far| if far == 0 { 0.0 } else { 1.0 },
    |_| 1.0,
    // Shares: of two, of many, next to nothing, and all but certain.
    |far| if far == 0 || far == 8 { 0.5 } else { 0.0 },
    |far| [0.0, 0.25, 0.5, 1.0][far % 4],
    |far| if far % 2 == 0 { 1e-4 } else { 0.0 },
    |far| if far % 5 == 0 { 1.0 - 1e-4 } else { 1e-6 },
];

/// Two rows of each kind, with noise; labels go round, so that some are among the likely classes. Of multi-hot targets, two
/// rows of each kind with each kind of targets where classes are few; else kinds of targets go round.
fn rows_of_every_kind(spec: &SigmoidLoss, classes: usize, kind: TargetKind) -> Data {
    let hots = if kind == TargetKind::MultiHot && classes < 1000 { HOTS.len() } else { 1 };
    let mut data = data(spec, 2 * KINDS.len() * hots, classes, kind, classes);
    for (index, row) in data.logits.chunks_exact_mut(classes).enumerate() {
        let (hot, index) = (index / (2 * KINDS.len()), index % (2 * KINDS.len()));
        let label = [index * 8, index * 8 + 1, classes / 2][index % 3] % classes;
        row.iter_mut().enumerate().for_each(|(class, z)| *z = noise(index, class));
        KINDS[index / 2](row, label);
        if kind == TargetKind::MultiHot {
            let of = HOTS[if hots == 1 { (5 * index + classes) % HOTS.len() } else { hot }];
            let targets = data.soft[(hot * 2 * KINDS.len() + index) * classes..].iter_mut().take(classes);
            targets.enumerate().for_each(|(class, t)| *t = of((class + classes - label) % classes));
        } else if index != 5 {
            data.labels[index] = label as i32;
        }
        // A masked label is among the masks' rows alone: nothing is left of a row without a class.
        if row.iter().all(|z| *z == f32::NEG_INFINITY) {
            row[0] = 0.5;
        }
    }
    data.wide = data.logits.iter().map(|&z| f64::from(z)).collect();
    data
}

/// Without terms, with all that a label can have, with factors of positives and negatives, with weights of 0 by class.
fn specs(classes: usize) -> [(&'static str, SigmoidLoss); 4] {
    let mut weights = named("softmax link").spec(classes);
    weights.class_weights = Some((0..classes).map(|class| [0.0, 1.0, 0.25, 3.0][class / 3 % 4]).collect());
    let names = ["softmax link", "softmax link with terms", "softmax link with factors"];
    let [plain, terms, factors] = names.map(|name| (name, named(name).spec(classes)));
    [plain, terms, factors, ("softmax link with weights", weights)]
}

const CHOICES: [Option<RowChoice>; 4] =
    [None, Some(RowChoice::stream(1, 8)), Some(RowChoice::stream(4, 32)), Some(RowChoice::stream(1, 1))];

/// Layouts, passes and storage go round: four manners for each number of classes.
fn every_kind(classes: &[usize], kind: TargetKind) {
    let mut tally = Tally::default();
    let kernels = context().kernels();
    for (turn, &classes) in classes.iter().enumerate() {
        for (index, (name, spec)) in specs(classes).into_iter().enumerate() {
            let turn = 5 * turn + index;
            let data = rows_of_every_kind(&spec, classes, kind);
            let (mode, storage, upstream) = PASSES[turn % PASSES.len()];
            let choice = CHOICES[turn % CHOICES.len()];
            let manner =
                Manner { mode, storage, upstream, choice, argmax: turn % 2 == 0, ..Manner::default() };
            tally.check(kernels, name, &spec.with_reduction(Reduction::Sum), &data, manner);
        }
    }
    tally.end("rows of every kind");
}

#[test]
fn rows_of_few_classes() {
    every_kind(&[2, 3, 17, 33, 129], Hard);
}

#[test]
fn rows_of_few_classes_multi_hot() {
    every_kind(&[2, 17, 129], MultiHot);
}

#[test]
fn rows_on_chip_and_longer() {
    every_kind(&[1204, 2561], Hard);
}

#[test]
fn rows_on_chip_and_longer_multi_hot() {
    every_kind(&[1204, 2561], MultiHot);
}

#[test]
fn rows_of_many_classes() {
    let mut tally = Tally::default();
    let classes = 50_000;
    let [plain, .., weights] = specs(classes);
    for ((name, spec), kind) in [(plain, Hard), (weights.clone(), Hard), (weights, MultiHot)] {
        let data = rows_of_every_kind(&spec, classes, kind);
        tally.check(context().kernels(), name, &spec, &data, Manner::default());
    }
    tally.end("rows of many classes");
}

#[test]
fn elements_of_16_bits() {
    let mut tally = Tally::default();
    let kernels = context().kernels();
    let pairs = [(Element::F16, Element::F16), (Element::Bf16, Element::Bf16), (Element::F16, Element::F32)];
    for (turn, classes) in [17, 129, 2561].into_iter().enumerate() {
        for (index, (name, spec)) in specs(classes).into_iter().enumerate() {
            let elements = pairs[(turn + index) % 3];
            let kind = [Hard, MultiHot][(turn + index) % 2];
            let data = rows_of_every_kind(&spec, classes, kind);
            let (mode, storage, upstream) = PASSES[(turn + 2 * index) % PASSES.len()];
            let storage = if elements.0 != elements.1 { Storage::Separate } else { storage };
            let gaps = [(0, 0), (1, 0), (3, 1), (0, 1)][index];
            let manner = Manner { mode, storage, upstream, elements, gaps, ..Manner::default() };
            tally.check(kernels, name, &spec.with_reduction(Reduction::Sum), &data, manner);
        }
    }
    tally.end("elements of 16 bits");
}

#[test]
fn windows_of_rows() {
    let mut tally = Tally::default();
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 4096);
    for ((name, spec), kind) in specs(129).into_iter().zip([Hard, MultiHot, MultiHot, MultiHot]) {
        let data = rows_of_every_kind(&spec, 129, kind);
        let plan = tally.check(&small, name, &spec, &data, Manner::default());
        assert!(plan.windows().0 > 3, "{:?}", plan.windows());
    }
    tally.end("windows of rows");
}

/// The sums of 50,000 classes in the order of their logits, in which the rare ones come last: as close as those of few.
fn long_sums(kind: TargetKind) {
    let (rows, classes) = (4, 50_000);
    let mut spec = SigmoidLoss::bce().with_reduction(Reduction::Sum);
    spec.link = Link::Softmax;
    let spread = [6.0, -6.0, 12.0, -12.0];
    let at = |index: usize| spread[index / classes] * (index % classes) as f32 / classes as f32;
    let logits: Vec<f32> = (0..rows * classes).map(at).collect();
    let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    let labels = [7, 49_000, 25_000, 3];
    let hot: Vec<f32> = (0..rows * classes).map(|index| [0.0, 0.0, 1.0, 0.5, 0.0][index % 5]).collect();
    let targets = if kind == Hard { Targets::Hard(&labels) } else { Targets::MultiHot(&hot) };
    let want = reference::sigmoid(&spec, &Batch::new(&wide, classes, targets), Upstream::One).unwrap();
    let got = context().loss_and_grad(&spec, &Batch::new(&logits, classes, targets)).unwrap();
    for (row, (got, want)) in got.row_loss.iter().zip(&want.row_loss).enumerate() {
        assert!((f64::from(*got) - want).abs() <= 1e-6 * want, "row {row}: {got}, not {want}");
    }
    for row in 0..rows {
        let range = row * classes..(row + 1) * classes;
        let top = want.gradient[range.clone()].iter().fold(0.0f64, |top, g| top.max(g.abs()));
        for (got, want) in got.gradient[range.clone()].iter().zip(&want.gradient[range]) {
            assert!((f64::from(*got) - want).abs() <= 2e-6 * top, "row {row}: {got}, not {want} ({top})");
        }
    }
    println!("1 GPU case");
}

#[test]
fn sums_of_long_rows_keep_their_digits() {
    long_sums(Hard);
    long_sums(MultiHot);
}

/// Logits as far apart as f32 has them, by hand: a certain class costs nothing if it is a positive and 100, the largest
/// logarithm, if it is none; one of probability 0 the other way round.
#[test]
fn logits_at_the_ends_of_f32() {
    let classes = 40;
    let mut spec = SigmoidLoss::bce().with_reduction(Reduction::None);
    spec.link = Link::Softmax;
    let mut logits = vec![-3e38; 4 * classes];
    let mut hot = vec![0.0; 4 * classes];
    for (row, (logits, hot)) in
        logits.chunks_exact_mut(classes).zip(hot.chunks_exact_mut(classes)).enumerate()
    {
        logits[9] = 3e38;
        match row {
            0 => {}
            1 => hot[9] = 1.0,
            2 => hot[17] = 1.0,
            _ => hot[8..18].fill(0.5),
        }
    }
    let batch = Batch::new(&logits, classes, Targets::MultiHot(&hot));
    let got = context().loss_and_grad(&spec, &batch).unwrap();
    // Of the last row half the classes' parts: 9 impossible positives, and a certain one that is half none.
    assert_eq!(got.row_loss, [100.0, 0.0, 200.0, 500.0]);
    assert!(got.gradient.iter().all(|g| *g == 0.0), "{:?}", got.gradient);
    println!("1 GPU case");
}
