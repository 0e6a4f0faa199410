//! What follows from segments, labels and the tree, as words for the kernels.

use crate::batch::TargetKind;
use crate::gpu::plan::narrow;
use crate::grouped::Layout;
use crate::random::{DrawSource, quota};
use crate::{GroupedLoss, Result};

/// Columns of a node up to which a thread walks them alone: `FEW` of `shaders/grouped/nodes.wgsl`.
const FEW: u32 = 32;
/// `NONE` of `shaders/grouped/spec.wgsl`.
const NONE: u32 = u32::MAX;
/// Flags of a segment, as there.
const SEGMENT_OTHERS: u32 = 1;
const SEGMENT_SAMPLED: u32 = 2;

/// Where each table begins, the twin of the fields of `Spec` in `shaders/grouped/spec.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Places {
    pub starts: u32,
    pub segment_flags: u32,
    pub segment_slots: u32,
    pub column_segments: u32,
    pub label_starts: u32,
    pub label_columns: u32,
    pub label_pairs: u32,
    pub quotas: u32,
    pub nodes: u32,
    pub levels: u32,
    pub wide: u32,
    pub column_nodes: u32,
}

/// The tables of a loss that has passed its check, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tables {
    pub words: Vec<u32>,
    pub places: Places,
    pub segments: u32,
    pub labels: u32,
    /// Slots of a row: segments that no label has both of may share one.
    pub slots: u32,
    /// Of tree sampling, for each level the columns of each of its nodes.
    pub levels: Vec<Vec<u32>>,
    /// Whether a tree's nodes are numbered as their segments.
    pub in_order: bool,
}

/// A label or a column as a word.
fn word(value: usize) -> u32 {
    narrow(value as u64)
}

impl Tables {
    /// For a batch of `rows`.
    ///
    /// # Errors
    /// Those of [`GroupedLoss::check`].
    pub(super) fn new(spec: &GroupedLoss, rows: usize) -> Result<Self> {
        spec.check(spec.columns(), TargetKind::Hard)?;
        let layout = Layout::new(spec)?;
        let slots = slots(spec, &layout);
        let mut words = Vec::new();
        let mut add = |table: Vec<u32>| {
            let place = word(words.len());
            words.extend(table);
            place
        };
        let flags = |segment: &crate::grouped::Segment| {
            let flag = |set: bool, bit| if set { bit } else { 0 };
            flag(segment.others, SEGMENT_OTHERS) | flag(segment.sampled, SEGMENT_SAMPLED)
        };
        let tree = if spec.tree.is_some() { Tree::new(spec, &layout) } else { Tree::default() };
        let columns = |label| spec.columns_of(label).map(word);
        let mut label_starts = vec![0];
        for label in 0..spec.labels.len() {
            let last = label_starts.last().copied().unwrap_or(0);
            label_starts.push(last + word(spec.columns_of(label).count()));
        }
        let places = Places {
            starts: add(layout.starts.iter().copied().map(word).collect()),
            segment_flags: add(spec.segments.iter().map(flags).collect()),
            segment_slots: add(slots.clone()),
            column_segments: add(layout.segment_of.iter().copied().map(word).collect()),
            label_starts: add(label_starts),
            label_columns: add((0..spec.labels.len()).flat_map(columns).collect()),
            label_pairs: add(pairs(spec, &layout)),
            nodes: add(tree.nodes),
            levels: add(tree.levels),
            wide: add(tree.wide),
            column_nodes: add(tree.column_nodes),
            quotas: add(quotas(spec, rows)),
        };
        Ok(Self {
            words,
            places,
            segments: word(spec.segments.len()),
            labels: word(spec.labels.len()),
            slots: slots.into_iter().max().map_or(1, |slot| slot + 1),
            levels: tree.sizes,
            in_order: tree.in_order,
        })
    }

    /// Steps of a thread's walk down a tree, or up: its longest loops, one after the other.
    pub(super) fn tree_steps(&self, workgroup: u32) -> u64 {
        let workgroup = u64::from(workgroup);
        let of_level = |sizes: &Vec<u32>| {
            let wide = sizes.iter().filter(|size| **size > FEW);
            let wide: u64 = wide.map(|size| 2 * (u64::from(*size) + 1).div_ceil(2 * workgroup)).sum();
            let few = |size: &u32| if *size > FEW { 0 } else { u64::from(*size) + 2 };
            let turns = sizes.chunks(usize::try_from(workgroup).unwrap_or(1).max(1));
            wide + turns.map(|turn| turn.iter().map(few).max().unwrap_or(0)).sum::<u64>()
        };
        self.levels.iter().map(of_level).sum()
    }

    /// Whether another loss has the same segments, labels and tree; its quotas may differ.
    pub(super) fn fits(&self, other: &Self) -> bool {
        let structure = |tables: &Self| tables.places.quotas as usize;
        self.places == other.places
            && self.words.len() == other.words.len()
            && self.words.get(..structure(self)) == other.words.get(..structure(other))
    }
}

/// The slot of each segment. In a tree no label has two nodes of one depth; else each segment has a slot of its own.
fn slots(spec: &GroupedLoss, layout: &Layout) -> Vec<u32> {
    let is_tree = spec.segments.iter().skip(1).all(|segment| segment.parent.is_some());
    if !is_tree {
        return (0..spec.segments.len()).map(word).collect();
    }
    let mut depths: Vec<u32> = Vec::with_capacity(spec.segments.len());
    for above in &layout.above {
        // The node above comes before.
        let depth = above.and_then(|above| depths.get(above)).map_or(0, |depth| depth + 1);
        depths.push(depth);
    }
    depths
}

/// How many segments each label takes part in.
fn pairs(spec: &GroupedLoss, layout: &Layout) -> Vec<u32> {
    let others = spec.segments.iter().filter(|segment| segment.others).count();
    let has_others = |column: &usize| {
        let segment = layout.segment_of.get(*column).and_then(|segment| spec.segments.get(*segment));
        segment.is_some_and(|segment| segment.others)
    };
    let of_label = |label| {
        let own = spec.columns_of(label).count();
        word(own + others - spec.columns_of(label).filter(has_others).count())
    };
    (0..spec.labels.len()).map(of_label).collect()
}

/// How many others are drawn for each number of own rows, `[N + 1]`; nothing where no row is drawn.
fn quotas(spec: &GroupedLoss, rows: usize) -> Vec<u32> {
    match &spec.sampling {
        Some(sampling) if sampling.source == DrawSource::Counter => {
            (0..=rows).map(|own| word(quota(sampling.ratio, own).min(rows))).collect()
        }
        _ => Vec::new(),
    }
}

/// A tree level by level, as `shaders/grouped/nodes.wgsl` walks it.
#[derive(Debug, Default)]
struct Tree {
    /// `[G, 4]`: each node's first column, their number and kind, the first node below, the segment.
    nodes: Vec<u32>,
    /// `[D + 1, 2]`: each level's first node, and the first of its nodes with many columns among all of those.
    levels: Vec<u32>,
    /// Those nodes.
    wide: Vec<u32>,
    /// `[W]`: the node below each column.
    column_nodes: Vec<u32>,
    sizes: Vec<Vec<u32>>,
    in_order: bool,
}

/// Kinds of nodes, as there.
const ONLY_LEAVES: u32 = 0;
const ONLY_NODES: u32 = 1;
const BOTH: u32 = 2;

impl Tree {
    fn new(spec: &GroupedLoss, layout: &Layout) -> Self {
        // The segment below each column.
        let mut below = vec![None; layout.width()];
        for (segment, part) in spec.segments.iter().enumerate() {
            let column = part.parent.and_then(|column| usize::try_from(column).ok());
            if let Some(place) = column.and_then(|column| below.get_mut(column)) {
                *place = Some(segment);
            }
        }
        let below = |column: usize| below.get(column).copied().flatten();
        let mut tree = Self { column_nodes: vec![NONE; layout.width()], in_order: true, ..Self::default() };
        let mut level = vec![0];
        let mut first = 0;
        while !level.is_empty() {
            tree.levels.extend([word(first), word(tree.wide.len())]);
            let mut next = Vec::new();
            let mut sizes = Vec::new();
            for (number, &segment) in (first..).zip(&level) {
                let span = layout.span(segment);
                let size = word(span.len());
                let inner: Vec<(usize, usize)> =
                    span.clone().filter_map(|column| Some((column, below(column)?))).collect();
                let kind = match inner.len() {
                    0 => ONLY_LEAVES,
                    inner if inner == span.len() => ONLY_NODES,
                    _ => BOTH,
                };
                let children = first + level.len() + next.len();
                tree.nodes.extend([word(span.start), size << 2 | kind, word(children), word(segment)]);
                for (child, (column, segment)) in (children..).zip(inner) {
                    if let Some(place) = tree.column_nodes.get_mut(column) {
                        *place = word(child);
                    }
                    next.push(segment);
                }
                if size > FEW {
                    tree.wide.push(word(number));
                }
                tree.in_order &= number == segment;
                sizes.push(size);
            }
            tree.sizes.push(sizes);
            first += level.len();
            level = next;
        }
        tree.levels.extend([word(first), word(tree.wide.len())]);
        tree
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::grouped::{Child, Taxonomy};

    fn table(tables: &Tables, place: u32, length: usize) -> &[u32] {
        &tables.words[place as usize..place as usize + length]
    }

    /// Root: node 1, label 2, node 2; node 1: labels 3, 0; node 2: label 1, node 3; node 3: labels 5, 4.
    fn tree() -> GroupedLoss {
        let nodes = vec![
            vec![Child::Node(1), Child::Label(2), Child::Node(2)],
            vec![Child::Label(3), Child::Label(0)],
            vec![Child::Label(1), Child::Node(3)],
            vec![Child::Label(5), Child::Label(4)],
        ];
        GroupedLoss::realistic_taxonomic(&Taxonomy::new(nodes).unwrap(), 0.5, 0).unwrap()
    }

    #[test]
    fn nodes_level_by_level() {
        let tables = Tables::new(&tree(), 4).unwrap();
        let both = |size: u32| size << 2 | BOTH;
        // Columns: [n1, 2, n2 | 3, 0 | 1, n3 | 5, 4].
        let nodes =
            [[0, both(3), 1, 0], [3, 2 << 2, 3, 1], [5, both(2), 3, 2], [7, 2 << 2, 4, 3]].concat();
        assert_eq!(table(&tables, tables.places.nodes, 16), nodes);
        assert_eq!(table(&tables, tables.places.levels, 8), [0, 0, 1, 0, 3, 0, 4, 0]);
        let column_nodes = [1, NONE, 2, NONE, NONE, NONE, 3, NONE, NONE];
        assert_eq!(table(&tables, tables.places.column_nodes, 9), column_nodes);
        assert_eq!(table(&tables, tables.places.segment_slots, 4), [0, 1, 1, 2]);
        assert_eq!(table(&tables, tables.places.label_pairs, 6), [2, 2, 1, 2, 3, 3]);
        assert_eq!((tables.slots, tables.levels.len(), tables.in_order), (3, 3, true));
        // One turn for each level, of its longest node.
        assert_eq!(tables.tree_steps(8), 5 + 4 + 4);
        assert_eq!(tables.tree_steps(1), 5 + 4 + 4 + 4);
    }

    /// Whatever order the caller numbers nodes in.
    #[test]
    fn nodes_of_another_order() {
        let nodes = vec![
            vec![Child::Node(2), Child::Node(1)],
            vec![Child::Label(0), Child::Label(1)],
            vec![Child::Node(3), Child::Node(4)],
            vec![Child::Label(2)],
            vec![Child::Label(3)],
        ];
        let spec = GroupedLoss::realistic_taxonomic(&Taxonomy::new(nodes).unwrap(), 0.5, 0).unwrap();
        let tables = Tables::new(&spec, 4).unwrap();
        let only = |size: u32| size << 2 | ONLY_NODES;
        // Columns: [n2, n1 | 0, 1 | n3, n4 | 2 | 3].
        let nodes = [
            [0, only(2), 1, 0],
            [4, only(2), 3, 2],
            [2, 2 << 2 | ONLY_LEAVES, 5, 1],
            [6, 1 << 2, 5, 3],
            [7, 1 << 2, 5, 4],
        ];
        assert_eq!(table(&tables, tables.places.nodes, 20), nodes.concat());
        assert!(!tables.in_order);
    }

    #[test]
    fn slots_and_quotas_of_groups() {
        let spec = GroupedLoss::balanced_groups(&[vec![0], vec![], vec![1, 2]], 2.5, 0).unwrap();
        let tables = Tables::new(&spec, 3).unwrap();
        assert_eq!(tables.slots, 4);
        assert_eq!(table(&tables, tables.places.segment_slots, 4), [0, 1, 2, 3]);
        // Every label takes part in every segment.
        assert_eq!(table(&tables, tables.places.label_pairs, 4), [4; 4]);
        assert_eq!(table(&tables, tables.places.quotas, 4), [0, 2, 3, 3]);
        let other = GroupedLoss::balanced_groups(&[vec![0], vec![], vec![1, 2]], 1.0, 3).unwrap();
        assert!(tables.fits(&Tables::new(&other, 3).unwrap()));
        let other = GroupedLoss::balanced_groups(&[vec![1], vec![], vec![0, 2]], 2.5, 0).unwrap();
        assert!(!tables.fits(&Tables::new(&other, 3).unwrap()));
    }

    #[test]
    fn wide_nodes_are_those_with_many_columns() {
        let groups = [(0..65).collect::<Vec<u32>>(), (65..97).collect()];
        let taxonomy = Taxonomy::two_levels(&groups).unwrap();
        let tables = Tables::new(&GroupedLoss::realistic_taxonomic(&taxonomy, 0.5, 0).unwrap(), 1).unwrap();
        assert_eq!(table(&tables, tables.places.levels, 6), [0, 0, 1, 0, 3, 1]);
        assert_eq!(table(&tables, tables.places.wide, 1), [1]);
        // The root, then five turns of eight pairs for 66 columns, then 32 of a thread's own.
        assert_eq!(tables.tree_steps(8), 4 + 2 * 5 + 34);
    }
}
