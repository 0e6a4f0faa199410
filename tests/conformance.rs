//! The kernels against the f64 reference: every method and combinations of terms, over shapes, passes, storage,
//! strides and row kernels. Not the full product but a covering design: each subject meets `TURNS` manners, and the
//! turns go on from one subject to the next, so that subjects with the same kernels meet different ones.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/keys.rs"]
mod keys;
#[path = "support/tally.rs"]
mod tally;
#[path = "support/tolerance.rs"]
mod tolerance;

use cases::{REDUCTIONS, manner, mix, named, shapes, subjects};
use gpu::{Manner, Up, context, run};
use inputs::{Data, counts};
use longtail::gpu::{Mode, RowChoice, Storage};
use longtail::{Element, TargetKind, Upstream, reference};
use tally::Tally;

/// Manners per subject.
const TURNS: usize = 4;

fn small_shapes(part: usize, parts: usize) {
    let mut tally = Tally::default();
    for (index, subject) in subjects().iter().enumerate().filter(|(index, _)| index % parts == part) {
        for turn in 0..TURNS {
            let turn = index * TURNS + turn;
            let mut manner = manner(turn);
            for (seed, (rows, classes)) in shapes(manner.choice).into_iter().enumerate() {
                if classes == 1 && subject.name == "seesaw + gates" {
                    continue;
                }
                let data = Data::new(rows, classes, subject.kind, mix(subject, seed + turn));
                // Upstream gradients per row are those of the rows' own losses, and of reduced ones.
                let reduction = (seed % 2 == 1).then_some(REDUCTIONS[(turn + seed) % REDUCTIONS.len()]);
                manner.class_scale =
                    turn.is_multiple_of(2) && subject.spec(&counts(classes)).class_scale.is_some();
                tally.check(subject, reduction, &data, manner);
            }
        }
    }
    tally.end("small shapes");
}

#[test]
fn subjects_in_small_shapes_even() {
    small_shapes(0, 2);
}

#[test]
fn subjects_in_small_shapes_odd() {
    small_shapes(1, 2);
}

/// More rows than one dimension of a grid has workgroups.
#[test]
fn more_rows_than_a_grid_is_wide() {
    let mut tally = Tally::default();
    let one = RowChoice::stream(1, 8);
    for (name, mode) in [("cross_entropy", Mode::LossAndGrad), ("seesaw", Mode::ForwardBackward)] {
        let subject = named(name);
        let data = Data::new(65_537, 3, subject.kind, mix(&subject, 4));
        let manner = Manner { mode, choice: Some(one), ..Manner::default() };
        tally.check(&subject, None, &data, manner);
    }
    // Four rows to a workgroup: four times as many rows.
    let subject = named("ldam_drw");
    let data = Data::new(4 * 65_535 + 2, 2, subject.kind, mix(&subject, 4));
    tally.check(&subject, None, &data, Manner::default());
    tally.end("many rows");
}

/// Rows of thousands of classes.
#[test]
fn long_rows() {
    let mut tally = Tally::default();
    let subjects = [
        "cross_entropy",
        "label_smoothing",
        "soft_label_ce",
        "unimix",
        "ldam_drw",
        "seesaw",
        "logit adjustment + seesaw + smoothing",
        "equalization",
        "equalization_given",
        "vector_scaling",
    ];
    for (turn, name) in subjects.into_iter().enumerate() {
        let subject = named(name);
        for (seed, (rows, classes)) in
            [(2, 4099), (5, 4099), (4, 20_011), (2, 128_256)].into_iter().enumerate()
        {
            if classes == 128_256 && turn % 2 == 1 {
                continue;
            }
            let (mode, storage, upstream) = cases::PASSES[(turn + seed) % cases::PASSES.len()];
            let wide = RowChoice::stream(if turn % 2 == 0 { 1 } else { 4 }, 64);
            let choice = (seed == 1).then_some(wide);
            let data = Data::new(rows, classes, subject.kind, mix(&subject, seed + turn));
            tally.check(
                &subject,
                None,
                &data,
                Manner { mode, storage, choice, upstream, ..Manner::default() },
            );
        }
    }
    tally.end("long rows");
}

/// Every reduction with every kind of targets, with weights that are not 1 and with ignored rows.
#[test]
fn reductions() {
    let mut tally = Tally::default();
    for (index, reduction) in REDUCTIONS.into_iter().enumerate() {
        for name in ["class_balanced", "remix_drw", "soft + smoothing + weights", "focal_weighted"] {
            let subject = named(name);
            for seed in 0..3 {
                let data = Data::new(23, 10, subject.kind, mix(&subject, seed));
                let (mode, storage, upstream) = cases::PASSES[(index + seed) % cases::PASSES.len()];
                let manner = Manner { mode, storage, upstream, ..Manner::default() };
                tally.check(&subject, Some(reduction), &data, manner);
            }
        }
    }
    tally.end("reductions");
}

/// The comparison must notice one element that is off by three tolerances, in every output.
#[test]
fn a_perturbed_result_is_noticed() {
    let subject = named("ldam + focal + drw");
    let data = Data::new(9, 33, TargetKind::Hard, mix(&subject, 2));
    let spec = subject.spec(&counts(33));
    let want = reference::softmax(&spec, &data.wide(&spec), Upstream::One).unwrap();
    let manner = Manner { storage: Storage::Separate, ..Manner::default() };
    let (_, got) = run(context().kernels(), &spec, &data, manner).unwrap();
    let ratio = |got: &gpu::Got| tolerance::compare(&spec, &data, &want, got, Up::One, Element::F32).ratio;
    assert!(ratio(&got) <= 1.0);
    let bounds = tolerance::Bounds::new(&spec, &data, &want, Up::One);
    // A bound may lie below half an ULP of its value; the next number is then off by more than three of them.
    let off = |value: f64, bound: f64| {
        let off = (value + 3.0 * bound) as f32;
        if f64::from(off) == value { off.next_up() } else { off }
    };
    for element in 0..data.rows * data.classes {
        let mut wrong = got.clone();
        wrong.gradient[element] = off(want.gradient[element], bounds.gradient[element]);
        assert!(ratio(&wrong) > 1.0, "gradient {element}");
    }
    for row in 0..data.rows {
        let mut wrong = got.clone();
        wrong.row_loss[row] = off(want.row_loss[row], bounds.row_loss[row]);
        assert!(ratio(&wrong) > 1.0, "loss of row {row}");
        let mut wrong = got.clone();
        wrong.argmax[row] += 1;
        assert!(ratio(&wrong) > 1.0, "argmax of row {row}");
    }
    let mut wrong = got;
    wrong.gradient[0] = f32::NAN;
    assert!(ratio(&wrong) > 1.0);
}

/// The layouts that GPUs get: wide workgroups, many columns of a row in each thread, four rows where they are short. With two
/// numbers in a word rows of whole workgroups have a column more than they hold.
#[test]
fn layouts_of_a_large_gpu() {
    let kernels = context().kernels().laid_out_as_on_a_gpu();
    let mut tally = Tally::default();
    let subjects = ["cross_entropy", "seesaw", "equalization", "soft_label_ce"];
    let shapes = [(2049, 100), (3, 128), (5, 1024), (3, 2048), (3, 8142), (2, 32_768), (2, 70_001)];
    for (seed, name) in subjects.into_iter().enumerate() {
        let subject = named(name);
        for (turn, (rows, classes)) in shapes.into_iter().enumerate() {
            let data = Data::new(rows, classes, subject.kind, mix(&subject, seed));
            let elements = [Element::F32, Element::F16, Element::Bf16];
            // All elements where they make a difference to the layout, once: terms know nothing of elements.
            let every = seed == 0 && (128..=2048).contains(&classes);
            let own = if every { 0..3 } else { (seed + turn) % 3..(seed + turn) % 3 + 1 };
            for element in elements[own].iter().copied() {
                let manner =
                    Manner { elements: (element, element), argmax: turn % 2 == 0, ..Manner::default() };
                tally.check_on(&kernels, &subject, None, &data, manner);
            }
        }
    }
    tally.end("layouts of a large GPU");
}
