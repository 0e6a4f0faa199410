//! The grouped family: from metadata to segments, trees and batches.

use longtail::grouped::{Child, Taxonomy};
use longtail::random::DrawSource;
use longtail::{GroupedLoss, Upstream, reference};

use super::file::{File, Outcome, malformed};
use super::{Case, Loss, Open, counts, hard};

/// Every method of the grouped family.
pub const METHODS: &[(&str, Open)] = &[
    ("bags", |file| balanced_groups(file, "bins", "others_sample_ratio", GroupedLoss::balanced_groups)),
    ("group_softmax_v2", |file| balanced_groups(file, "bin_split", "beta", GroupedLoss::balanced_groups_v2)),
    ("deep_rtc", deep_rtc),
];

/// A matrix the other way round.
fn transposed<T: Copy>(values: &[T], columns: usize) -> Vec<T> {
    let rows = values.len() / columns.max(1);
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// The sampled rows come from the file, which drew them.
fn balanced_groups(
    file: &File,
    bounds: &str,
    ratio: &str,
    make: fn(&[Vec<u32>], f64, u64) -> longtail::Result<GroupedLoss>,
) -> Outcome<Case> {
    let bounds = file
        .nested(&[bounds])
        .and_then(|value| value.as_array())
        .map(|values| values.iter().filter_map(serde_json::Value::as_u64).collect::<Vec<u64>>());
    let Some(bounds) = bounds else { return malformed("hparams: the bins' bounds are missing") };
    let mut spec = make(&counts(file)?.bins(&bounds)?, file.number(ratio)?, 0)?;
    if let Some(sampling) = &mut spec.sampling {
        sampling.source = DrawSource::Given;
    }
    let labels = file.integers("labels")?.to_vec();
    let mut case = Case::new(file, Loss::Grouped(spec.clone()), hard(file)?)?;
    case.inputs.gates = Some(transposed(file.floats("group_sample_weights")?, labels.len()));
    let scores = reference::grouped_scores(&spec, &case.inputs.wide())?;
    let case = case.with("inference_scores", scores, file.column("inference_scores")?);
    // Each label's place in each group, 0 for others.
    let slots = slots(&spec, &labels);
    let expected = file.integers("group_labels")?.iter().map(|slot| f64::from(*slot)).collect();
    Ok(case.with("group_labels", slots, expected))
}

/// `[G, N]`: the target of each row within each segment.
fn slots(spec: &GroupedLoss, labels: &[i32]) -> Vec<f64> {
    let (mut start, mut slots) = (0, Vec::new());
    for segment in &spec.segments {
        let span = start..start + segment.columns;
        for label in labels {
            let own = spec.labels[*label as usize].iter().find(|column| span.contains(column));
            slots.push(own.map_or(0.0, |column| f64::from(column - span.start)));
        }
        start = span.end;
    }
    slots
}

/// The tree from the leaves below each column and the nodes above each node.
fn taxonomy(file: &File) -> Outcome<Taxonomy> {
    let (below, starts) = (file.floats("codeword")?, file.integers("node_offsets")?);
    let above = file.floats("ancestor_or_self")?;
    let (nodes, columns) = (starts.len() - 1, file.shape("codeword")?[0]);
    let leaves = below.len() / columns;
    let set = |column: usize| {
        (0..leaves).filter(|leaf| below[column * leaves + leaf] != 0.0).collect::<Vec<usize>>()
    };
    let span = |node: usize| starts[node] as usize..starts[node + 1] as usize;
    let below_node = |node: usize| {
        let mut set: Vec<usize> = span(node).flat_map(set).collect();
        set.sort_unstable();
        set
    };
    let depth = |node: usize| (0..nodes).filter(|other| above[node * nodes + other] != 0.0).count();
    let is_child =
        |parent: usize, node: usize| above[node * nodes + parent] != 0.0 && depth(node) == depth(parent) + 1;
    let children = (0..nodes).map(|node| {
        let child = |column: usize| {
            let inner = (0..nodes).find(|other| is_child(node, *other) && below_node(*other) == set(column));
            match (inner, set(column).as_slice()) {
                (Some(inner), _) => Ok(Child::Node(inner as u32)),
                (None, [leaf]) => Ok(Child::Label(*leaf as u32)),
                _ => malformed(format!("column {column} leads to no node")),
            }
        };
        span(node).map(child).collect::<Outcome<Vec<Child>>>()
    });
    Ok(Taxonomy::new(children.collect::<Outcome<Vec<_>>>()?)?)
}

/// Gates are given; the two parts of the loss, one part's gradient and the leaves' scores are compared as well.
fn deep_rtc(file: &File) -> Outcome<Case> {
    let mut spec = GroupedLoss::realistic_taxonomic(&taxonomy(file)?, 0.0, 0)?;
    if let Some(tree) = &mut spec.tree {
        tree.source = DrawSource::Given;
        tree.weight = file.number("lmbda")?;
    }
    let mut case = Case::new(file, Loss::Grouped(spec.clone()), hard(file)?)?;
    let gates = file.floats("gate")?.to_vec();
    let logits = case.inputs.wide();
    let scores = reference::leaf_scores(&spec, &logits, Some(&gates))?;
    case.inputs.gates = Some(gates);
    let both = reference::grouped(&spec, &case.inputs.batch(&logits), Upstream::One)?;
    let alone = spec.with_weight(0.0);
    let tree = reference::grouped(&alone, &case.inputs.batch(&logits), Upstream::One)?;
    Ok(case
        .with("leaf_scores", scores, file.column("leaf_scores")?)
        .with("loss_node", vec![both.segment_loss], file.column("loss_node")?)
        .with("loss_sts", vec![both.tree_loss], file.column("loss_sts")?)
        .with("grad_logits_sts_only", tree.gradient, file.column("grad_logits_sts_only")?))
}
