//! The sigmoid family's kernels against the f64 reference: every method and combinations of terms, over kinds of
//! targets, shapes, passes, storage, strides, element types, layouts and windows. A covering design, not the full
//! product: each subject meets some manners, and the turns go on from one subject to the next.

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
use gpu::{Manner, Up, context, kernels_with};
use longtail::gpu::{Kernels, Mode, RowChoice, Storage};
use longtail::{Element, Reduction, TargetKind, Upstream, reference};
use sigmoid_cases::{CHOICES, REDUCTIONS, data, kinds, named, subjects, wide};
use sigmoid_tally::{Tally, run};

/// The `turn`-th manner: choices, passes and gaps go round in steps that share no factor.
fn manner(turn: usize) -> Manner {
    let (mode, storage, upstream) = PASSES[turn % PASSES.len()];
    Manner {
        mode,
        storage,
        choice: CHOICES[(turn / 2) % CHOICES.len()],
        gaps: [(0, 0), (3, 0), (0, 5), (1, 2), (64, 1)][turn % 5],
        upstream,
        argmax: turn % 3 != 1,
        ..Manner::default()
    }
}

/// The ends, and what lies around a workgroup's block of columns.
fn shapes(choice: Option<RowChoice>) -> Vec<(usize, usize)> {
    let block = 4 * choice.map_or(8, |choice| choice.workgroup as usize);
    vec![(1, 1), (3, 2), (5, block - 1), (9, block + 1), (4, 3 * block + 5)]
}

fn small_shapes(part: usize, parts: usize) {
    let mut tally = Tally::default();
    let kernels = context().kernels();
    for (index, subject) in subjects().iter().enumerate().filter(|(index, _)| index % parts == part) {
        for (turn, kind) in [TargetKind::Hard, TargetKind::MultiHot].into_iter().enumerate() {
            let turn = index * 2 + turn;
            let manner = manner(turn);
            for (seed, (rows, classes)) in shapes(manner.choice).into_iter().enumerate() {
                let spec = subject.spec(classes);
                // One column alone is no background and a class.
                assert!(classes == 1 || !kinds(&spec, classes).is_empty(), "{}", subject.name);
                if spec.check(classes, kind).is_ok() {
                    let data = data(&spec, rows, classes, kind, seed + turn);
                    let reduction = REDUCTIONS[(turn + seed) % REDUCTIONS.len()];
                    let spec =
                        if seed % 2 == 1 { spec.clone().with_reduction(reduction) } else { spec.clone() };
                    tally.check(kernels, subject.name, &spec, &data, manner);
                }
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

const ELEMENTS: [(Element, Element); 7] = [
    (Element::F16, Element::F16),
    (Element::Bf16, Element::Bf16),
    (Element::F16, Element::F32),
    (Element::F32, Element::Bf16),
    (Element::Bf16, Element::F16),
    (Element::F32, Element::F16),
    (Element::Bf16, Element::F32),
];

/// Elements of 16 bits: odd and even rows and strides, whole, split, in place, straddling.
#[test]
fn elements_of_16_bits() {
    let mut tally = Tally::default();
    let kernels = context().kernels();
    for (index, subject) in subjects().iter().enumerate() {
        {
            let turn = index;
            let gaps = [(0, 0), (1, 0), (0, 1), (3, 2), (2, 2)][turn % 5];
            let mut manner = Manner { elements: ELEMENTS[turn % ELEMENTS.len()], gaps, ..manner(turn) };
            if manner.storage == Storage::InPlace {
                manner.elements.1 = manner.elements.0;
            }
            if turn % 4 == 0 {
                manner.choice = manner.choice.map(RowChoice::with_native_f16);
            }
            let (rows, classes) = [(5, 37), (9, 64), (1, 1), (3, 2), (7, 131)][(turn / 2) % 5];
            let spec = subject.spec(classes);
            let kinds = kinds(&spec, classes);
            let Some(kind) = kinds.get(turn / 2 % kinds.len().max(1)) else { continue };
            let data = data(&spec, rows, classes, *kind, turn);
            tally.check(kernels, subject.name, &spec, &data, manner);
        }
    }
    tally.end("elements of 16 bits");
}

/// Bindings of some hundred bytes: windows of rows, and windows of classes.
fn windows(kernels: &Kernels, rows: usize, classes: usize, seed: usize) -> (usize, usize) {
    let mut tally = Tally::default();
    let mut most = (0, 0);
    for (index, subject) in subjects().iter().enumerate() {
        let spec = subject.spec(classes);
        if spec.link == longtail::sigmoid::Link::Softmax && 4 * classes + 64 > small_binding(kernels) {
            continue;
        }
        let kinds = kinds(&spec, classes);
        {
            let kind = kinds[(index + seed) % kinds.len()];
            let mut manner = manner(index + seed);
            if index % 2 == 1 {
                manner.elements = ELEMENTS[(index / 2 + seed) % ELEMENTS.len()];
                if manner.storage == Storage::InPlace {
                    manner.elements.1 = manner.elements.0;
                }
            }
            let data = data(&spec, rows, classes, kind, index + seed);
            let plan = tally.check(kernels, subject.name, &spec, &data, manner);
            let (of_rows, of_classes) = plan.windows();
            most = (most.0.max(of_rows), most.1.max(of_classes));
        }
    }
    tally.end("windows");
    most
}

fn small_binding(kernels: &Kernels) -> usize {
    kernels.device().limits().max_storage_buffer_binding_size as usize
}

#[test]
fn windows_of_rows() {
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 1280);
    assert!(windows(&small, 26, 37, 0).0 > 3);
}

#[test]
fn windows_of_classes() {
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 2560);
    assert!(windows(&small, 5, 1301, 1).1 > 2);
}

#[test]
fn reductions() {
    let mut tally = Tally::default();
    let kernels = context().kernels();
    for (index, reduction) in REDUCTIONS.into_iter().enumerate() {
        for name in ["bce", "equalization_v2", "drawn rows and gates", "rebalanced", "softmax link"] {
            for seed in 0..2 {
                let spec = named(name).spec(10).with_reduction(reduction);
                for kind in kinds(&spec, 10) {
                    let data = data(&spec, 23, 10, kind, seed);
                    let (mode, storage, upstream) = PASSES[(index + seed) % PASSES.len()];
                    let manner = Manner { mode, storage, upstream, ..Manner::default() };
                    tally.check(kernels, name, &spec, &data, manner);
                }
            }
        }
    }
    tally.end("reductions");
}

/// Rows of thousands of classes; more rows than one dimension of a grid has workgroups, and more than one sum takes.
#[test]
fn large_shapes() {
    let mut tally = Tally::default();
    let kernels = context().kernels();
    let names = ["bce", "distribution_balanced", "equalization_v2", "adaptive_suppression", "softmax link"];
    for (seed, name) in names.into_iter().enumerate() {
        for (rows, classes) in [(2, 4099), (5, 4100), (2, 40_011)] {
            // The tolerance of re-balancing looks at all classes for each.
            if name == "distribution_balanced" && classes > 4099 {
                continue;
            }
            let spec = named(name).spec(classes);
            for kind in kinds(&spec, classes) {
                let data = data(&spec, rows, classes, kind, seed);
                tally.check(kernels, name, &spec, &data, manner(seed));
            }
        }
    }
    let one = Some(RowChoice::stream(1, 8));
    for (name, rows, choice) in [
        ("bce", 65_537, one),
        ("gradient balance", 33_000, None),
        ("drawn rows", 9_001, one),
        ("mean weights over the batch's largest", 9_001, None),
    ] {
        let spec = named(name).spec(3);
        let kind = kinds(&spec, 3)[0];
        let data = data(&spec, rows, 3, kind, 4);
        tally.check(kernels, name, &spec, &data, Manner { choice, ..Manner::default() });
    }
    tally.end("large shapes");
}

/// What is chosen for GPUs.
#[test]
fn layouts_of_a_large_gpu() {
    let mut tally = Tally::default();
    let kernels = context().kernels().laid_out_as_on_a_gpu();
    let names = ["bce", "distribution_balanced", "equalization_v2", "adaptive_suppression", "softmax link"];
    for (seed, name) in names.into_iter().enumerate() {
        let (rows, classes) = [(3, 130), (40, 1204), (33, 1231)][seed % 3];
        let spec = named(name).spec(classes);
        for kind in kinds(&spec, classes) {
            let data = data(&spec, rows, classes, kind, seed);
            let halves = if seed % 2 == 1 { ELEMENTS[0] } else { (Element::F32, Element::F32) };
            for elements in [(Element::F32, Element::F32), halves] {
                let manner = Manner { choice: None, elements, storage: Storage::Separate, ..manner(seed) };
                tally.check(&kernels, name, &spec, &data, manner);
            }
        }
    }
    tally.end("layouts of a large GPU");
}

/// No rows: loss 0 in every method.
#[test]
fn no_rows() {
    let kernels = context().kernels();
    let mut cases = 0;
    for subject in subjects() {
        let spec = subject.spec(5);
        for kind in kinds(&spec, 5) {
            for mode in [Mode::LossAndGrad, Mode::ForwardBackward] {
                let data = data(&spec, 0, 5, kind, 0);
                let (plan, got) = run(kernels, &spec, &data, Manner { mode, ..Manner::default() }).unwrap();
                assert_eq!((got.loss, got.status), (0.0, None), "{} {kind:?} {mode:?}", subject.name);
                assert_eq!(plan.gradient_sums().map(|sums| sums.read().unwrap()), {
                    spec.gradient_balance.as_ref().map(|balance| narrowed(&balance.sums))
                });
                cases += 1;
            }
        }
    }
    println!("{cases} GPU cases");
}

/// Sums as pairs of f32 hold them.
fn narrowed(sums: &longtail::statistics::GradientSums) -> longtail::statistics::GradientSums {
    let pair = |value: &f64| {
        let high = *value as f32;
        f64::from(high) + f64::from((value - f64::from(high)) as f32)
    };
    longtail::statistics::GradientSums {
        positive: sums.positive.iter().map(pair).collect(),
        negative: sums.negative.iter().map(pair).collect(),
    }
}

/// The comparison must notice one element that is off by three tolerances.
#[test]
fn a_perturbed_result_is_noticed() {
    for (name, kind) in [("everything", TargetKind::MultiHot), ("softmax link with terms", TargetKind::Hard)]
    {
        let spec = named(name).spec(33).with_reduction(Reduction::Sum);
        let data = data(&spec, 9, 33, kind, 2);
        let want = reference::sigmoid(&spec, &wide(&spec, &data), Upstream::One).unwrap();
        let (_, got) = run(context().kernels(), &spec, &data, Manner::default()).unwrap();
        let ratio = |got: &gpu::Got| {
            sigmoid_tolerance::compare(&spec, &data, &want, got, Up::One, Element::F32).ratio
        };
        assert!(ratio(&got) <= 1.0, "{name}");
        let bounds = sigmoid_tolerance::Bounds::new(&spec, &data, &want, Up::One);
        let off = |value: f64, bound: f64| {
            let off = (value + 3.0 * bound) as f32;
            if f64::from(off) == value { off.next_up() } else { off }
        };
        for element in 0..want.gradient.len() {
            let mut wrong = got.clone();
            wrong.gradient[element] = off(want.gradient[element], bounds.gradient[element]);
            assert!(ratio(&wrong) > 1.0, "{name} gradient {element}");
        }
        for row in (0..data.rows).filter(|row| want.row_loss[*row].is_finite()) {
            let mut wrong = got.clone();
            wrong.row_loss[row] = off(want.row_loss[row], bounds.row_loss[row]);
            assert!(ratio(&wrong) > 1.0, "{name} loss of row {row}");
            let mut wrong = got.clone();
            wrong.argmax[row] += 1;
            assert!(ratio(&wrong) > 1.0, "{name} argmax of row {row}");
        }
        // Tight: a gradient's tolerance is far below a thousandth of what it is made of.
        let largest = want.gradient.iter().fold(0.0f64, |top, g| top.max(g.abs()));
        let tolerance = bounds.gradient.iter().fold(0.0f64, |top, bound| top.max(*bound));
        assert!(tolerance < 1e-3 * largest, "{name}: {tolerance} of {largest}");
    }
}
