//! The softmax link of one label, whose loss and `sum_k d_k p_k` come from sums of powers of the probabilities up to 1/8,
//! and from likelier classes one by one: rows around every border between the two, against the f64 reference.
//!
//! The tolerance is the family's (`support/sigmoid_tolerance.rs`): relatively `24 e` and more for a probability, and each
//! of the two polynomials is off by less than `2 e`.

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

/// Two rows of each kind, with noise; labels go round, so that some are among the likely classes.
fn rows_of_every_kind(spec: &SigmoidLoss, classes: usize) -> Data {
    let mut data = data(spec, 2 * KINDS.len(), classes, TargetKind::Hard, classes);
    for (index, row) in data.logits.chunks_exact_mut(classes).enumerate() {
        let label = [index * 8, index * 8 + 1, classes / 2][index % 3] % classes;
        row.iter_mut().enumerate().for_each(|(class, z)| *z = noise(index, class));
        KINDS[index / 2](row, label);
        if index != 5 {
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

/// Without terms, with all that a label can have, with weights of 0 by class.
fn specs(classes: usize) -> [(&'static str, SigmoidLoss); 3] {
    let mut weights = named("softmax link").spec(classes);
    weights.class_weights = Some((0..classes).map(|class| [0.0, 1.0, 0.25, 3.0][class / 3 % 4]).collect());
    let both = ["softmax link", "softmax link with terms"].map(|name| (name, named(name).spec(classes)));
    let [plain, terms] = both;
    [plain, terms, ("softmax link with weights", weights)]
}

const CHOICES: [Option<RowChoice>; 4] =
    [None, Some(RowChoice::stream(1, 8)), Some(RowChoice::stream(4, 32)), Some(RowChoice::stream(1, 1))];

/// Layouts, passes and storage go round: three manners for each number of classes.
fn every_kind(classes: &[usize]) {
    let mut tally = Tally::default();
    let kernels = context().kernels();
    for (turn, &classes) in classes.iter().enumerate() {
        for (index, (name, spec)) in specs(classes).into_iter().enumerate() {
            let turn = 3 * turn + index;
            let data = rows_of_every_kind(&spec, classes);
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
    every_kind(&[2, 3, 17, 33, 129]);
}

#[test]
fn rows_on_chip_and_longer() {
    every_kind(&[1204, 2561]);
}

#[test]
fn rows_of_many_classes() {
    let mut tally = Tally::default();
    let classes = 50_000;
    let [plain, _, weights] = specs(classes);
    for (name, spec) in [plain, weights] {
        let data = rows_of_every_kind(&spec, classes);
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
            let data = rows_of_every_kind(&spec, classes);
            let (mode, storage, upstream) = PASSES[(turn + 2 * index) % PASSES.len()];
            let storage = if elements.0 != elements.1 { Storage::Separate } else { storage };
            let gaps = [(0, 0), (1, 0), (3, 1)][index];
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
    for (name, spec) in specs(129) {
        let data = rows_of_every_kind(&spec, 129);
        let plan = tally.check(&small, name, &spec, &data, Manner::default());
        assert!(plan.windows().0 > 3, "{:?}", plan.windows());
    }
    tally.end("windows of rows");
}

/// The sums of 50,000 classes in the order of their logits, in which the rare ones come last: as close as those of few.
#[test]
fn sums_of_long_rows_keep_their_digits() {
    let (rows, classes) = (4, 50_000);
    let mut spec = SigmoidLoss::bce().with_reduction(Reduction::Sum);
    spec.link = Link::Softmax;
    let spread = [6.0, -6.0, 12.0, -12.0];
    let at = |index: usize| spread[index / classes] * (index % classes) as f32 / classes as f32;
    let logits: Vec<f32> = (0..rows * classes).map(at).collect();
    let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
    let labels = [7, 49_000, 25_000, 3];
    let want = reference::sigmoid(&spec, &Batch::new(&wide, classes, Targets::Hard(&labels)), Upstream::One)
        .unwrap();
    let got = context().loss_and_grad(&spec, &Batch::new(&logits, classes, Targets::Hard(&labels))).unwrap();
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
