//! The grouped family's kernels against the f64 reference, over methods, terms, passes, storage, strides, element types
//! and windows.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/grouped.rs"]
mod grouped;
#[path = "support/grouped_keys.rs"]
mod grouped_keys;
#[path = "support/grouped_tolerance.rs"]
mod grouped_tolerance;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/tolerance.rs"]
mod tolerance;

use std::collections::HashSet;
use std::fmt::Write as _;

use gpu::{Manner, Up, context, kernels_with, kernels_without_features};
use grouped::{Data, pass, request, run, subjects};
use grouped_tolerance::Expected;
use longtail::gpu::grouped::GroupedKey;
use longtail::gpu::{Kernels, Mode, Plan, Program, RowChoice, Session, Storage};
use longtail::grouped::{Child, Taxonomy};
use longtail::random::DrawSource;
use longtail::{Element, GroupedLoss, Upstream, reference};

/// What a test has seen.
struct Tally {
    cases: usize,
    keys: HashSet<GroupedKey>,
    tightest: (f64, String),
    failures: String,
}

impl Tally {
    fn new() -> Self {
        let keys = grouped_keys::all().into_iter().collect();
        Self { cases: 0, keys, tightest: (0.0, String::new()), failures: String::new() }
    }

    fn check(
        &mut self,
        kernels: &Kernels,
        name: &str,
        spec: &GroupedLoss,
        data: &Data,
        manner: Manner,
    ) -> Plan {
        let name = format!("{name}, {} rows, {manner:?}", data.rows);
        let want = Expected::new(spec, data, manner.upstream).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (plan, got) = run(kernels, spec, data, manner).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (program, _) in plan.kernels() {
            if let Program::Grouped(key) = program {
                assert!(
                    self.keys.contains(&grouped_keys::plain(key)),
                    "{}: not in the finite set",
                    key.label()
                );
            }
        }
        self.cases += 1;
        if let Some(status) = &got.status {
            let _ = writeln!(self.failures, "{name}: status {status}");
        }
        let worst = want.compare(&got, manner.gradient());
        let line = format!("{name}: {worst:?}");
        if worst.ratio > 1.0 {
            let _ = writeln!(self.failures, "{line}");
        }
        if worst.ratio >= self.tightest.0 {
            self.tightest = (worst.ratio, line);
        }
        plan
    }

    fn end(self, what: &str) {
        println!("{what}: {} GPU cases; tightest: {}", self.cases, self.tightest.1);
        assert!(self.cases > 0, "no GPU case ran");
        assert!(self.failures.is_empty(), "{}", self.failures);
    }
}

const F32: (Element, Element) = (Element::F32, Element::F32);
const MANNERS: [Manner; 8] = {
    let plain = Manner {
        mode: Mode::LossAndGrad,
        storage: Storage::Separate,
        choice: None,
        gaps: (0, 0),
        upstream: Up::One,
        argmax: true,
        class_scale: false,
        elements: F32,
        block: 0,
    };
    let backward = Manner { mode: Mode::ForwardBackward, ..plain };
    [
        plain,
        Manner { storage: Storage::InPlace, gaps: (3, 3), ..plain },
        Manner { storage: Storage::Shared, gaps: (1, 4), argmax: false, ..plain },
        Manner { upstream: Up::PerRow, storage: Storage::InPlace, block: 5, ..backward },
        Manner { upstream: Up::Scalar(-1.5), choice: Some(RowChoice::stream(1, 32)), ..backward },
        Manner { elements: (Element::F16, Element::Bf16), gaps: (0, 1), ..plain },
        Manner { elements: (Element::Bf16, Element::Bf16), storage: Storage::InPlace, gaps: (1, 1), ..plain },
        Manner {
            elements: (Element::F16, Element::F16),
            storage: Storage::Shared,
            upstream: Up::PerRow,
            gaps: (3, 0),
            ..backward
        },
    ]
};

fn every_subject(part: usize) {
    let mut tally = Tally::new();
    for (index, subject) in subjects().iter().enumerate().filter(|(index, _)| index % 2 == part) {
        for turn in 0..3 {
            let manner = MANNERS[(index / 2 + 3 * turn) % MANNERS.len()];
            for rows in [1, 23] {
                let data = Data::new(&subject.spec, rows, (index + turn) as u32, manner.elements.0);
                tally.check(context().kernels(), subject.name, &subject.spec, &data, manner);
            }
        }
    }
    tally.end("subjects");
}

#[test]
fn subjects_even() {
    every_subject(0);
}

#[test]
fn subjects_odd() {
    every_subject(1);
}

fn named(name: &str) -> GroupedLoss {
    let found = subjects().into_iter().find(|subject| subject.name == name);
    found.unwrap_or_else(|| panic!("no subject {name}")).spec
}

/// f16 as the device's own, and none.
#[test]
fn native_halves() {
    let mut tally = Tally::new();
    let elements = (Element::F16, Element::F16);
    for (seed, name) in ["balanced groups, few others", "tree"].into_iter().enumerate() {
        let spec = named(name);
        let data = Data::new(&spec, 9, seed as u32, Element::F16);
        for storage in [Storage::Separate, Storage::InPlace] {
            let choice = Some(RowChoice::stream(1, 8).with_native_f16());
            let manner = Manner { elements, storage, choice, ..MANNERS[0] };
            tally.check(context().kernels(), name, &spec, &data, manner);
        }
        let bare = kernels_without_features();
        tally.check(&bare, name, &spec, &data, Manner { elements, ..MANNERS[0] });
    }
    tally.end("native f16");
}

/// Rows cut into windows: counts and draws are still those of the whole batch.
#[test]
fn windows_of_rows() {
    let small = kernels_with(|limits| limits.max_storage_buffer_binding_size = 2048);
    let mut tally = Tally::new();
    for (index, name) in [
        "balanced groups, few others",
        "balanced groups, given weights",
        "balanced groups v2",
        "loose segments, own means",
        "hierarchical",
        "tree",
        "tree, given gates",
    ]
    .into_iter()
    .enumerate()
    {
        let spec = named(name);
        for manner in [MANNERS[index % 4], MANNERS[4 + index % 4]] {
            let data = Data::new(&spec, 61, index as u32, manner.elements.0);
            let plan = tally.check(&small, name, &spec, &data, manner);
            assert!(plan.windows().0 > 1, "{name}: {:?}", plan.windows());
        }
    }
    tally.end("windows");
}

/// More rows than one sum has, and a draw among thousands.
#[test]
fn many_rows() {
    let mut tally = Tally::new();
    let groups = GroupedLoss::balanced_groups(&[vec![0], vec![1]], 0.7, 9).unwrap();
    let data = Data::new(&groups, 9001, 1, Element::F32);
    tally.check(context().kernels(), "balanced groups", &groups, &data, MANNERS[0]);
    let tree = named("tree");
    let data = Data::new(&tree, 8300, 2, Element::F32);
    tally.check(context().kernels(), "tree", &tree, &data, MANNERS[1]);
    tally.end("many rows");
}

/// Thousands of columns: LVIS's classes in groups, and in a tree.
#[test]
fn long_rows() {
    let mut tally = Tally::new();
    let groups: Vec<Vec<u32>> =
        (0..4).map(|group| (0..1203).filter(|class| class % 4 == group).collect()).collect();
    let spec = GroupedLoss::balanced_groups(&groups, 8.0, 1).unwrap();
    let data = Data::new(&spec, 8, 4, Element::F32);
    tally.check(context().kernels(), "balanced groups", &spec, &data, MANNERS[0]);
    let taxonomy = longtail::grouped::Taxonomy::two_levels(&groups).unwrap();
    let spec = GroupedLoss::realistic_taxonomic(&taxonomy, 0.2, 1).unwrap();
    for manner in [MANNERS[1], MANNERS[5]] {
        let data = Data::new(&spec, 4, 5, manner.elements.0);
        tally.check(context().kernels(), "tree", &spec, &data, manner);
    }
    tally.end("long rows");
}

/// What is chosen for GPUs.
#[test]
fn layouts_of_a_large_gpu() {
    let mut tally = Tally::new();
    let kernels = context().kernels().laid_out_as_on_a_gpu();
    let groups: Vec<Vec<u32>> =
        (0..4).map(|group| (0..1203).filter(|class| class % 4 == group).collect()).collect();
    let taxonomy = longtail::grouped::Taxonomy::two_levels(&groups).unwrap();
    let specs = [
        ("balanced groups", GroupedLoss::balanced_groups(&groups, 8.0, 1).unwrap()),
        ("tree", GroupedLoss::realistic_taxonomic(&taxonomy, 0.2, 1).unwrap()),
        ("small tree", named("tree")),
    ];
    for (seed, (name, spec)) in specs.iter().enumerate() {
        for manner in [MANNERS[0], MANNERS[3], MANNERS[6]] {
            let data = Data::new(spec, 9, seed as u32, manner.elements.0);
            tally.check(&kernels, name, spec, &data, manner);
        }
    }
    tally.end("layouts of a large GPU");
}

/// The same bits on every run; the step goes on from pass to pass, and back where it is set.
#[test]
fn bits_and_steps() {
    let kernels = context().kernels();
    for name in ["balanced groups, few others", "tree"] {
        let spec = named(name);
        let data = Data::new(&spec, 40, 3, Element::F32);
        let plan = kernels.plan(&spec, &request(&data, MANNERS[0])).unwrap();
        let step = spec.sampling.map(|term| term.step).or(spec.tree.map(|term| term.step)).unwrap();
        let first = pass(kernels, &plan, &data, MANNERS[0]).unwrap();
        let second = pass(kernels, &plan, &data, MANNERS[0]).unwrap();
        let want = Expected::new(&spec.clone().with_step(step + 1), &data, Up::One).unwrap();
        assert!(want.compare(&second, Element::F32).ratio <= 1.0, "{name}");
        assert_ne!(first.gradient, second.gradient, "{name}");
        plan.set_step(step).unwrap();
        let again = pass(kernels, &plan, &data, MANNERS[0]).unwrap();
        let words = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(words(&first.gradient), words(&again.gradient), "{name}");
        assert_eq!(words(&first.row_loss), words(&again.row_loss), "{name}");
    }
}

/// A batch that is split has the gates of the whole.
#[test]
fn gates_of_a_part() {
    let spec = named("tree");
    let data = Data::new(&spec, 12, 1, Element::F32);
    let kernels = context().kernels();
    let whole = run(kernels, &spec, &data, MANNERS[0]).unwrap().1;
    let columns = data.columns;
    let part = Data {
        rows: 7,
        logits: data.logits[5 * columns..].to_vec(),
        labels: data.labels[5..].to_vec(),
        upstream: data.upstream[5..].to_vec(),
        ..data
    };
    let plan = kernels.plan(&spec, &request(&part, MANNERS[0]).with_first_row(5)).unwrap();
    let part = pass(kernels, &plan, &part, MANNERS[0]).unwrap();
    assert_eq!(part.row_loss, whole.row_loss[5..]);
}

/// A tree of more nodes than workgroup memory holds: they go to a buffer for the rows of a window.
#[test]
fn trees_of_many_nodes() {
    // 27 nodes of 26 nodes of 1 to 3 leaves.
    let mut nodes = vec![(0..27).map(|node| Child::Node(1 + node)).collect::<Vec<_>>()];
    nodes.extend((0..27).map(|node| (0..26).map(|below| Child::Node(28 + 26 * node + below)).collect()));
    let mut label = 0;
    for node in 0..27 * 26 {
        let leaves = 1 + node % 3;
        nodes.push((label..label + leaves).map(Child::Label).collect());
        label += leaves;
    }
    let taxonomy = Taxonomy::new(nodes).unwrap();
    let drawn = GroupedLoss::realistic_taxonomic(&taxonomy, 0.1, 3).unwrap();
    let mut given = drawn.clone();
    given.tree.as_mut().unwrap().source = DrawSource::Given;
    let little = kernels_with(|limits| {
        limits.max_compute_workgroup_storage_size = 2688;
        limits.max_storage_buffer_binding_size = 1 << 17;
    });
    let mut seen = 0;
    for (index, spec) in [drawn, given].iter().enumerate() {
        for (turn, (kernels, on_chip)) in
            [(&little, false), (context().kernels(), true)].into_iter().enumerate()
        {
            for (round, element) in [Element::F32, Element::F16, Element::Bf16].into_iter().enumerate() {
                let manner = Manner {
                    mode: [Mode::LossAndGrad, Mode::ForwardBackward][(turn + round + index) % 2],
                    storage: [Storage::InPlace, Storage::Separate, Storage::Shared][(round + index) % 3],
                    elements: (element, element),
                    gaps: [(0, 0), (1, 3)][round % 2],
                    ..Manner::default()
                };
                let data = Data::new(spec, 47, 3 + round as u32, element);
                let (plan, got) = run(kernels, spec, &data, manner).unwrap();
                let want = Expected::new(spec, &data, manner.upstream).unwrap();
                let worst = want.compare(&got, manner.gradient());
                assert!(worst.ratio <= 1.0 && got.status.is_none(), "{manner:?}: {worst:?}");
                let tree = |program: &Program| matches!(program, Program::Grouped(key) if key.terms.tree && key.nodes > 0);
                assert_eq!(plan.kernels().iter().any(|(program, _)| tree(program)), on_chip);
                assert!(on_chip || plan.windows().0 > 1);
                seen += 1;
            }
        }
    }
    println!("{seen} cases on the adapter");
}

/// Numbers may change; what kernels and tables are made of may not.
#[test]
fn updates() {
    let kernels = context().kernels();
    let spec = named("balanced groups, few others");
    let data = Data::new(&spec, 40, 4, Element::F32);
    let mut plan = kernels.plan(&spec, &request(&data, MANNERS[0])).unwrap();
    let mut other = spec.clone().with_weight(0.5).with_step(4).with_ignore_index(Some(3));
    other.sampling.as_mut().unwrap().ratio = 2.0;
    plan.update(&other).unwrap();
    plan.set_step(4).unwrap();
    let got = pass(kernels, &plan, &data, MANNERS[0]);
    // -100 is no label now.
    assert!(got.unwrap().status.is_some());
    other.ignore_index = Some(-100);
    plan.update(&other).unwrap();
    plan.set_step(4).unwrap();
    let got = pass(kernels, &plan, &data, MANNERS[0]).unwrap();
    assert!(Expected::new(&other, &data, Up::One).unwrap().compare(&got, Element::F32).ratio <= 1.0);
}

/// Slices through the same kernels.
#[test]
fn sessions_and_contexts() {
    let context = context();
    for name in ["balanced groups, given weights", "hierarchical", "tree, given gates", "tree"] {
        let spec = named(name);
        let data = Data::new(&spec, 14, 6, Element::F32);
        let batch = data.batch(&data.logits);
        let want = reference::grouped(&spec, &data.batch(&data.wide), Upstream::Scalar(2.0)).unwrap();
        let fused = context.loss_and_grad(&spec, &batch).unwrap();
        let both = context.forward_backward(&spec, &batch, Upstream::Scalar(2.0)).unwrap();
        let mut session = Session::of(context.kernels(), &spec, &request(&data, MANNERS[0])).unwrap();
        let again = session.loss_and_grad(&batch).unwrap();
        assert_eq!((fused.loss, &fused.gradient), (again.loss, &again.gradient), "{name}");
        for ((fused, both), want) in fused.gradient.iter().zip(&both.gradient).zip(&want.gradient) {
            assert_eq!(2.0 * fused, *both, "{name}");
            assert!((f64::from(*both) - want).abs() < 1e-5, "{name}: {both} is not {want}");
        }
        assert!((f64::from(fused.loss) - want.loss).abs() < 1e-5 * want.loss, "{name}");
    }
}

/// The comparison must notice one element that is off by three tolerances.
#[test]
fn a_perturbed_result_is_noticed() {
    let spec = named("tree");
    let data = Data::new(&spec, 9, 2, Element::F32);
    let want = Expected::new(&spec, &data, Up::One).unwrap();
    let got = run(context().kernels(), &spec, &data, MANNERS[0]).unwrap().1;
    assert!(want.compare(&got, Element::F32).ratio <= 1.0);
    let off = |value: f64, bound: f64| {
        let off = (value + 3.0 * bound) as f32;
        if f64::from(off) == value { off.next_up() } else { off }
    };
    for element in 0..got.gradient.len() {
        let mut wrong = got.clone();
        wrong.gradient[element] = off(want.gradient.0[element], want.gradient.1[element]);
        assert!(want.compare(&wrong, Element::F32).ratio > 1.0, "gradient {element}");
    }
    for row in 0..data.rows {
        let mut wrong = got.clone();
        wrong.row_loss[row] = off(want.row_loss.0[row], want.row_loss.1[row]);
        assert!(want.compare(&wrong, Element::F32).ratio > 1.0, "loss of row {row}");
    }
}
