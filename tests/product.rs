//! The product of element types, row layouts, storage and shapes, or a third of it, each against the f64 reference with the
//! tolerance of its element type (`support/tolerance.rs`); then the same cut into windows by a device with small
//! limits.

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

use cases::{REDUCTIONS, mix, named};
use gpu::{Manner, Up, context, kernels_with};
use inputs::Data;
use longtail::Element;
use longtail::gpu::{Kernels, Mode, RowChoice, Storage};
use std::collections::HashSet;
use tally::Tally;

/// Whole rows streamed and on chip, of one and four rows, and rows that workgroups share.
const CHOICES: [RowChoice; 9] = [
    RowChoice::stream(1, 8),
    RowChoice::stream(4, 8),
    RowChoice::stream(4, 8).with_kernels_apart(),
    RowChoice::stream(1, 64),
    RowChoice::on_chip(1, 8, 8),
    RowChoice::on_chip(4, 8, 8),
    RowChoice::on_chip(1, 32, 4),
    RowChoice::stream(1, 8).with_split(3),
    RowChoice::stream(4, 8).with_split(2),
];

const STORAGES: [Storage; 3] = [Storage::Separate, Storage::Shared, Storage::InPlace];

/// Element types of logits and gradient; in place only the like ones.
fn elements(storage: Storage) -> Vec<(Element, Element)> {
    let pairs = Element::ALL.into_iter().flat_map(|logits| Element::ALL.map(|gradient| (logits, gradient)));
    pairs.filter(|(logits, gradient)| storage != Storage::InPlace || logits == gradient).collect()
}

/// f16 as two in a word, and where there is f16 also as the device's own.
fn ways(kernels: &Kernels, elements: (Element, Element)) -> Vec<bool> {
    let native = kernels.device().features().contains(wgpu::Features::SHADER_F16);
    let halves = elements.0 == Element::F16 || elements.1 == Element::F16;
    if native && halves { vec![false, true] } else { vec![false] }
}

/// Around the ends, words, blocks and workgroups; rows of even and odd length.
const SHAPES: [(usize, usize); 9] =
    [(1, 1), (9, 1), (1, 2), (5, 3), (3, 7), (8, 31), (4, 32), (9, 33), (3, 63)];

/// Elements between rows: logits, gradient. Odd and even strides meet.
const GAPS: [(usize, usize); 4] = [(0, 0), (1, 0), (0, 3), (2, 2)];

/// A storage, a pair of element types in one of its ways, and those of the layouts that it meets, with their numbers.
struct Way {
    storage: Storage,
    elements: (Element, Element),
    native: bool,
    choices: Vec<(usize, RowChoice)>,
}

/// Every storage, pair of element types and row layout, or one in `parts` of these.
fn selection(kernels: &Kernels, parts: usize) -> Vec<Way> {
    let (mut selection, mut index) = (Vec::new(), 0);
    let place = |element: Element| Element::ALL.into_iter().position(|other| other == element).unwrap();
    for storage in STORAGES {
        for elements in elements(storage) {
            // Layouts shift from one type to the next, of logits and of gradients.
            let shift = place(elements.0) + place(elements.1);
            for native in ways(kernels, elements) {
                let numbered = CHOICES.into_iter().map(|choice| {
                    index += 1;
                    (index, RowChoice { native_f16: native, ..choice })
                });
                let choices = numbered.filter(|(index, _)| (index + shift).is_multiple_of(parts)).collect();
                selection.push(Way { storage, elements, native, choices });
            }
        }
    }
    selection
}

/// The selection with every shape. Says how many batches were cut into windows.
fn product(kernels: &Kernels, name: &str, parts: usize, tally: &mut Tally) -> usize {
    let subject = named(name);
    let (mut turn, mut cut) = (0, 0);
    for Way { storage, elements, choices, .. } in selection(kernels, parts) {
        // A cache of its own, so that thousands of kernels do not live at once.
        let kernels = kernels.edited(&[]);
        for (index, choice) in choices {
            for (seed, (rows, classes)) in SHAPES.into_iter().enumerate() {
                turn += 1;
                let (mode, upstream) = [
                    (Mode::LossAndGrad, Up::One),
                    (Mode::ForwardBackward, Up::PerRow),
                    (Mode::ForwardBackward, Up::Scalar(0.5)),
                ][turn % 3];
                let manner = Manner {
                    mode,
                    storage,
                    choice: Some(choice),
                    gaps: GAPS[turn / 3 % GAPS.len()],
                    upstream,
                    argmax: index % 2 == 0,
                    elements,
                    block: [0, 0, 1, 2, 5][turn % 5],
                    ..Manner::default()
                };
                let data = Data::new(rows, classes, subject.kind, mix(&subject, seed + turn));
                let reduction = (turn % 4 == 1).then_some(REDUCTIONS[turn % REDUCTIONS.len()]);
                let plan = tally.check_on(&kernels, &subject, reduction, &data, manner);
                cut += usize::from(plan.windows() != (1, 1));
            }
        }
    }
    cut
}

/// A third of it has every layout with every type of logits and of gradients, in every way that the device has of f16.
#[test]
fn a_third_has_all_pairs() {
    let met = |parts: usize| {
        let mut met = HashSet::new();
        for Way { elements: (logits, gradient), native, choices, .. } in selection(context().kernels(), parts)
        {
            for (_, choice) in choices {
                for (element, what) in [(logits, "logits"), (gradient, "gradient")] {
                    let native_f16 = native && element == Element::F16;
                    met.insert((RowChoice { native_f16, ..choice }, element, what));
                }
            }
        }
        met
    };
    let missing: Vec<_> = met(1).difference(&met(3)).copied().collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(met(99) != met(1));
}

/// One in three: every layout meets every type of logits and of gradients.
#[test]
fn cross_entropy() {
    let mut tally = Tally::default();
    product(context().kernels(), "cross_entropy", 3, &mut tally);
    tally.end("cross-entropy");
}

/// All of it.
#[test]
#[ignore = "a driver that runs on a processor takes a quarter of an hour to compile a thousand kernels; `cargo test --test \
            product -- --ignored` runs it"]
fn all_of_cross_entropy() {
    let mut tally = Tally::default();
    product(context().kernels(), "cross_entropy", 1, &mut tally);
    tally.end("all of cross-entropy");
}

/// A bias, scales of the classes, both steps of seesaw; then targets of every class.
#[test]
fn the_richest_terms() {
    let mut tally = Tally::default();
    product(context().kernels(), "vector scaling + seesaw + margin + focal", 5, &mut tally);
    product(context().kernels(), "soft + smoothing + weights", 11, &mut tally);
    product(context().kernels(), "gates + margin + two labels", 13, &mut tally);
    tally.end("the richest terms");
}

/// Bindings of 512 or 768 bytes, buffers of 16 KiB: batches of a few rows are many windows.
#[test]
fn windows_of_small_bindings() {
    let mut tally = Tally::default();
    let mut cut = 0;
    let subjects = [(512, "ldam_drw", 7), (768, "logit adjustment + seesaw + smoothing", 11)];
    for (binding, name, parts) in subjects {
        let kernels = kernels_with(|limits| {
            limits.max_storage_buffer_binding_size = binding;
            limits.max_buffer_size = 16 << 10;
            limits.max_compute_workgroups_per_dimension = 16;
        });
        cut += product(&kernels, name, parts, &mut tally);
    }
    println!("{cut} of them in more than one window");
    assert!(cut > 100, "{cut} batches were cut");
    tally.end("windows of small bindings");
}
