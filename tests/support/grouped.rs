//! Grouped losses on the adapter: specs, batches, runs in every manner.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Given, Got, Manner, pass_of};
use crate::inputs::Draws;
use longtail::gpu::{Kernels, Plan, PlanRequest};
use longtail::grouped::{Child, GroupReduction, Segment, Taxonomy};
use longtail::random::DrawSource;
use longtail::{Batch, Element, GroupedLoss, Reduction, Targets};

/// A spec to test.
pub struct Subject {
    pub name: &'static str,
    pub spec: GroupedLoss,
}

fn subject(name: &'static str, spec: GroupedLoss) -> Subject {
    Subject { name, spec }
}

fn groups() -> Vec<Vec<u32>> {
    vec![vec![3, 5], vec![], vec![0, 1, 9, 8], vec![2, 4, 6, 7, 10]]
}

/// Of uneven depth, with a node of one child.
pub fn taxonomy() -> Taxonomy {
    let nodes = vec![
        vec![Child::Node(1), Child::Label(2), Child::Node(2), Child::Node(4)],
        vec![Child::Label(3), Child::Label(0), Child::Label(9)],
        vec![Child::Label(5), Child::Node(3)],
        vec![Child::Label(1), Child::Label(4), Child::Node(5)],
        vec![Child::Label(8)],
        vec![Child::Label(6), Child::Label(7)],
    ];
    Taxonomy::new(nodes).unwrap()
}

/// Two levels, with more leaves below a node than a thread sums up alone.
pub fn wide_taxonomy() -> Taxonomy {
    let (near, far): (Vec<u32>, Vec<u32>) = (0..110).partition(|label| label % 3 == 0);
    Taxonomy::two_levels(&[near, far]).unwrap()
}

/// Nodes that are numbered down before across.
pub fn deep_first() -> Taxonomy {
    let nodes = vec![
        vec![Child::Node(1), Child::Label(4), Child::Node(4)],
        vec![Child::Node(2), Child::Node(3)],
        vec![Child::Label(0), Child::Label(1), Child::Label(7)],
        vec![Child::Label(2), Child::Label(3)],
        vec![Child::Label(5), Child::Node(5)],
        vec![Child::Label(6), Child::Label(8)],
    ];
    Taxonomy::new(nodes).unwrap()
}

/// A root with more nodes than a thread walks alone, leaves among them, and nodes of 1 to 40 leaves.
pub fn many_nodes() -> Taxonomy {
    let mut root = Vec::new();
    let mut nodes = Vec::new();
    let mut next = 0;
    for node in 0..29u32 {
        let leaves = [1, 2, 40, 3, 7][node as usize % 5];
        root.push(Child::Node(node + 1));
        nodes.push((next..next + leaves).map(Child::Label).collect());
        next += leaves;
        if node % 4 == 1 {
            root.push(Child::Label(next));
            next += 1;
        }
    }
    Taxonomy::new(std::iter::once(root).chain(nodes).collect::<Vec<_>>()).unwrap()
}

fn tree(change: impl FnOnce(&mut longtail::grouped::TreeSampling)) -> GroupedLoss {
    let mut spec = GroupedLoss::realistic_taxonomic(&taxonomy(), 0.3, 0x1234_5678_9abc).unwrap().with_step(7);
    change(spec.tree.as_mut().unwrap());
    spec
}

fn groups_with(ratio: f64, change: impl FnOnce(&mut GroupedLoss)) -> GroupedLoss {
    let mut spec = GroupedLoss::balanced_groups(&groups(), ratio, 0x51_0000_0007).unwrap().with_step(3);
    change(&mut spec);
    spec
}

/// The methods, and combinations of terms.
pub fn subjects() -> Vec<Subject> {
    // Segments that are neither groups nor nodes: labels have columns in some of them.
    let mut loose = GroupedLoss::default();
    loose.segments = vec![Segment::new(3), Segment::new(2), Segment::new(4)];
    loose.labels = vec![vec![0, 3], vec![1, 5], vec![2], vec![4, 6], vec![0, 4, 8], vec![7]];
    let rows = |reduction| GroupReduction::Rows(reduction);
    let given = |spec: &mut GroupedLoss| spec.sampling.as_mut().unwrap().source = DrawSource::Given;
    // The others' column of the last group as a label's own.
    let of_others = |spec: &mut GroupedLoss| spec.labels.push(vec![0, 11]);
    let wide = GroupedLoss::realistic_taxonomic(&wide_taxonomy(), 0.2, 11).unwrap();
    vec![
        subject("one group", GroupedLoss::one_group(17)),
        subject("balanced groups", groups_with(8.0, |_| {})),
        subject("balanced groups, few others", groups_with(0.5, |_| {})),
        subject("balanced groups, others as labels", groups_with(1.5, of_others)),
        subject("balanced groups, no others", groups_with(0.0, |_| {})),
        subject("balanced groups, given weights", groups_with(8.0, given)),
        subject("balanced groups, sum", groups_with(1.0, |spec| spec.reduction = rows(Reduction::Sum))),
        subject("balanced groups, pairs", groups_with(1.0, |spec| spec.reduction = GroupReduction::Pairs)),
        subject(
            "balanced groups, mean over kept",
            groups_with(1.0, |spec| {
                spec.reduction = rows(Reduction::MeanKept);
                spec.weight = 0.75;
            }),
        ),
        subject(
            "balanced groups, own means alone",
            groups_with(1.0, |spec| {
                spec.segments.iter_mut().for_each(|segment| segment.sampled = false);
                spec.sampling = None;
            }),
        ),
        subject("balanced groups v2", GroupedLoss::balanced_groups_v2(&groups(), 2.0, 5).unwrap()),
        subject("loose segments", loose.clone()),
        subject("loose segments, own means", loose.with_reduction(GroupReduction::PerGroup)),
        subject("hierarchical", GroupedLoss::hierarchical(&taxonomy())),
        subject(
            "hierarchical, fixed",
            GroupedLoss::hierarchical(&taxonomy()).with_reduction(rows(Reduction::Fixed(7.5))),
        ),
        subject("hierarchical, wide", GroupedLoss::hierarchical(&wide_taxonomy())),
        subject("tree", tree(|_| {})),
        subject("tree, given gates", tree(|tree| tree.source = DrawSource::Given)),
        subject("tree, low ceiling", tree(|tree| tree.ceiling = Some(0.5))),
        subject("tree, no ceiling", tree(|tree| tree.ceiling = None)),
        subject("tree, all closed", tree(|tree| tree.drop_probability = 1.0)),
        subject("tree, all open", tree(|tree| tree.drop_probability = 0.0)),
        subject("tree, weights", tree(|tree| tree.weight = 0.5).with_weight(2.0)),
        subject("tree, own means", tree(|_| {}).with_reduction(GroupReduction::PerGroup)),
        subject("tree, wide", wide),
        subject("tree, another order", GroupedLoss::realistic_taxonomic(&deep_first(), 0.3, 5).unwrap()),
        subject("tree, many nodes", GroupedLoss::realistic_taxonomic(&many_nodes(), 0.3, 6).unwrap()),
    ]
}

/// What the rows hold, as in `inputs::Flavour`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    Unit,
    Spread,
    Trained,
    Masked,
}

/// A batch that owns its data.
#[derive(Debug, Clone)]
pub struct Data {
    pub rows: usize,
    pub columns: usize,
    pub logits: Vec<f32>,
    pub wide: Vec<f64>,
    pub labels: Vec<i32>,
    pub row_weights: Option<Vec<f32>>,
    /// `[N, G]`, where the spec takes them.
    pub gates: Option<Vec<f32>>,
    pub upstream: Vec<f32>,
}

fn takes_gates(spec: &GroupedLoss) -> bool {
    spec.sampling.is_some_and(|term| term.source == DrawSource::Given)
        || spec.tree.is_some_and(|term| term.source == DrawSource::Given)
}

impl Data {
    /// Every flavour in turn, every fifth row ignored; logits in the element type.
    pub fn new(spec: &GroupedLoss, rows: usize, seed: u32, element: Element) -> Self {
        let (columns, labels) = (spec.columns(), spec.labels.len());
        let mut draws = Draws::new(seed ^ (rows as u32) << 8);
        let mut data = Self {
            rows,
            columns,
            logits: Vec::new(),
            wide: Vec::new(),
            labels: (0..rows).map(|_| draws.below(labels) as i32).collect(),
            row_weights: seed.is_multiple_of(2).then(|| (0..rows).map(|_| 2.0 * draws.unit()).collect()),
            gates: None,
            upstream: (0..rows).map(|_| draws.normal()).collect(),
        };
        // Background is frequent, as it is in detection.
        (0..rows).filter(|row| row % 3 == 1).for_each(|row| data.labels[row] = 0);
        if takes_gates(spec) {
            let gate = |draws: &mut Draws| [0.0, 1.0, 1.0, 0.5][draws.below(4)];
            data.gates = Some((0..rows * spec.segments.len()).map(|_| gate(&mut draws)).collect());
        }
        let others = first_columns(spec);
        for row in 0..rows {
            let flavour = [Rows::Unit, Rows::Spread, Rows::Trained, Rows::Masked][(row + seed as usize) % 4];
            let own = &spec.labels[data.labels[row] as usize];
            for column in 0..columns as u32 {
                let target = own.contains(&column);
                let z = match flavour {
                    Rows::Spread => 40.0 * draws.unit() - 20.0,
                    Rows::Trained => draws.normal() + if target { 5.0 } else { 0.0 },
                    _ => draws.normal(),
                };
                let masked = flavour == Rows::Masked && draws.below(3) == 0;
                let masked = masked && !target && !others.contains(&column);
                data.logits.push(if masked { f32::NEG_INFINITY } else { z });
            }
        }
        for row in (0..rows).filter(|row| (row + seed as usize) % 5 == 3) {
            data.labels[row] = -100;
        }
        data.logits = element.decode(&element.encode(&data.logits));
        data.widen();
        data
    }

    pub fn widen(&mut self) {
        self.wide = self.logits.iter().map(|value| f64::from(*value)).collect();
    }

    pub fn batch<'a, T>(&'a self, logits: &'a [T]) -> Batch<'a, T> {
        let mut batch = Batch::new(logits, self.columns, Targets::Hard(&self.labels));
        batch.row_weights = self.row_weights.as_deref();
        batch.gates = self.gates.as_deref();
        batch
    }
}

/// The others' columns.
fn first_columns(spec: &GroupedLoss) -> Vec<u32> {
    let mut start = 0;
    let mut found = Vec::new();
    for segment in &spec.segments {
        found.extend(segment.others.then_some(start));
        start += segment.columns;
    }
    found
}

/// The request that a manner makes of a batch.
pub fn request(data: &Data, manner: Manner) -> PlanRequest {
    let mut request = PlanRequest::new(data.rows, data.columns)
        .with_mode(manner.mode)
        .with_storage(manner.storage)
        .with_elements(manner.elements.0, manner.gradient())
        .with_strides(data.columns + manner.gaps.0, data.columns + manner.gaps.1);
    if manner.block > 0 {
        request.row_blocks = manner.blocks(data.rows);
    }
    request.row_weights = data.row_weights.is_some();
    request.argmax = manner.argmax;
    request.choice = manner.choice;
    request
}

/// Plans and runs one batch.
pub fn run(
    kernels: &Kernels,
    spec: &GroupedLoss,
    data: &Data,
    manner: Manner,
) -> longtail::Result<(Plan, Got)> {
    let plan = kernels.plan(spec, &request(data, manner))?;
    let got = pass(kernels, &plan, data, manner)?;
    Ok((plan, got))
}

/// Runs one batch through a plan. Panics if a byte is written that should not be.
pub fn pass(kernels: &Kernels, plan: &Plan, data: &Data, manner: Manner) -> longtail::Result<Got> {
    pass_of(kernels, plan, &Given::new(data.batch(&data.logits), &data.upstream), manner)
}
