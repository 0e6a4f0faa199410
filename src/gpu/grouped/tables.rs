//! What follows from segments, labels and the tree, as words for the kernels.

use crate::batch::TargetKind;
use crate::gpu::plan::narrow;
use crate::grouped::Layout;
use crate::random::{DrawSource, quota};
use crate::{GroupedLoss, Result};

/// Columns of a node up to which a thread walks them alone.
const FEW: u32 = 16;
/// Columns of a chunk: as many as make eight chunks of a level, between these.
const CHUNK: std::ops::RangeInclusive<u32> = 16..=32;
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
    pub levels: u32,
    pub chunks: u32,
    pub wide: u32,
    pub node_segments: u32,
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
    /// Of tree sampling, the columns of each level's chunks and of its nodes with many.
    pub levels: Vec<Sizes>,
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
            levels: add(tree.levels),
            chunks: add(tree.chunks),
            wide: add(tree.wide),
            node_segments: add(tree.node_segments),
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
        let of_wide = |columns: &u32| (u64::from(*columns) + 1).div_ceil(2 * u64::from(workgroup)) * 3;
        let turn = usize::try_from(workgroup).unwrap_or(1).max(1);
        let longest = |chunks: &[u32]| chunks.iter().max().map_or(0, |columns| u64::from(*columns) + 1);
        let of_level = |level: &Sizes| {
            let nodes = u64::from(level.nodes).div_ceil(u64::from(workgroup));
            let wide: u64 = level.wide.iter().map(of_wide).sum();
            nodes + wide + level.chunks.chunks(turn).map(longest).sum::<u64>()
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

/// How much there is of a tree's level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    nodes: u32,
    chunks: Vec<u32>,
    wide: Vec<u32>,
}

/// A tree level by level, as `shaders/grouped/nodes.wgsl` walks it.
#[derive(Debug, Default)]
struct Tree {
    /// `[D + 1, 5]`: each level's first node; its first chunk, and the first with a node below; the same of its nodes with
    /// many columns.
    levels: Vec<u32>,
    /// `[.., 6]`: first column, first node, first node below, where nodes begin, where nodes are below, columns.
    chunks: Vec<u32>,
    /// `[.., 3]`: node, first column, end.
    wide: Vec<u32>,
    /// `[G]`: the segment of each node.
    node_segments: Vec<u32>,
    /// `[W]`: the node below each column.
    column_nodes: Vec<u32>,
    sizes: Vec<Sizes>,
    in_order: bool,
}

/// Words of a chunk and of a node with many columns, as there.
const CHUNK_WORDS: usize = 6;
const WIDE_WORDS: usize = 3;

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
        let mut tree = Self { column_nodes: vec![NONE; layout.width()], in_order: true, ..Self::default() };
        let mut level = vec![0];
        while !level.is_empty() {
            level = tree.add_level(layout, &below, &level);
        }
        tree.begin_level(0, 0);
        tree
    }

    /// Where a level begins, with chunks and wide nodes of leaves alone before the others.
    fn begin_level(&mut self, leaf_chunks: usize, leaf_wide: usize) {
        let (chunks, wide) = (self.chunks.len() / CHUNK_WORDS, self.wide.len() / WIDE_WORDS);
        let words = [self.node_segments.len(), chunks, chunks + leaf_chunks, wide, wide + leaf_wide];
        self.levels.extend(words.map(word));
    }

    /// Adds the nodes with these segments; those of the next level.
    fn add_level(&mut self, layout: &Layout, below: &[Option<usize>], level: &[usize]) -> Vec<usize> {
        let columns: usize = level.iter().map(|segment| layout.span(*segment).len()).sum();
        let most = word(columns.div_ceil(8)).clamp(*CHUNK.start(), *CHUNK.end());
        let first = self.node_segments.len();
        let mut next = Vec::new();
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut wide = Vec::new();
        // Whether the last chunk may get more.
        let mut open = false;
        for (number, &segment) in (first..).zip(level) {
            let span = layout.span(segment);
            let (begin, size) = (word(span.start), word(span.len()));
            let child = first + level.len() + next.len();
            let mut inner = 0u32;
            for (place, column) in span.clone().enumerate() {
                let Some(segment) = below.get(column).copied().flatten() else { continue };
                if let Some(node) = self.column_nodes.get_mut(column) {
                    *node = word(first + level.len() + next.len());
                }
                next.push(segment);
                // Only nodes with few columns are asked where.
                inner |= 1u32.checked_shl(word(place)).unwrap_or(1);
            }
            if size > FEW {
                open = false;
                wide.push((inner != 0, [word(number), begin, word(span.end)]));
                continue;
            }
            match chunks.last_mut().filter(|chunk| open && chunk.takes(begin, size, inner, most)) {
                Some(chunk) => chunk.add(size, inner),
                None => {
                    let (node, child) = (word(number), word(child));
                    let mut chunk = Chunk { first: begin, node, child, ..Chunk::default() };
                    chunk.add(size, inner);
                    chunks.push(chunk);
                    open = true;
                }
            }
        }
        // The order is kept otherwise.
        chunks.sort_by_key(|chunk| chunk.inner != 0);
        wide.sort_by_key(|(inner, _)| *inner);
        let leaf_chunks = chunks.iter().filter(|chunk| chunk.inner == 0).count();
        self.begin_level(leaf_chunks, wide.iter().filter(|(inner, _)| !inner).count());
        self.in_order &= (first..).zip(level).all(|(number, segment)| number == *segment);
        self.node_segments.extend(level.iter().copied().map(word));
        self.sizes.push(Sizes {
            nodes: word(level.len()),
            chunks: chunks.iter().map(|chunk| chunk.columns).collect(),
            wide: wide.iter().map(|(_, [_, begin, end])| end - begin).collect(),
        });
        chunks.iter().for_each(|chunk| self.chunks.extend(chunk.words()));
        self.wide.extend(wide.iter().flat_map(|(_, words)| words));
        next
    }
}

/// Nodes whose columns follow each other, for one thread.
#[derive(Debug, Default)]
struct Chunk {
    first: u32,
    node: u32,
    child: u32,
    begins: u32,
    inner: u32,
    columns: u32,
}

impl Chunk {
    /// Whether a node goes with these: its columns follow, and it has nodes below if they have.
    fn takes(&self, begin: u32, size: u32, inner: u32, most: u32) -> bool {
        let alike = (self.inner == 0) == (inner == 0);
        alike && begin == self.first + self.columns && self.columns + size <= most
    }

    fn words(&self) -> [u32; CHUNK_WORDS] {
        let Self { first, node, child, begins, inner, columns } = *self;
        [first, node, child, begins, inner, columns]
    }

    fn add(&mut self, size: u32, inner: u32) {
        self.begins |= 1 << self.columns;
        self.inner |= inner << self.columns;
        self.columns += size;
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
        // Columns: [n1, 2, n2 | 3, 0 | 1, n3 | 5, 4]; bits from the lowest.
        // In a level those of leaves alone come first.
        let chunks =
            [[0, 0, 1, 0b1, 0b101, 3], [3, 1, 3, 0b1, 0, 2], [5, 2, 3, 0b1, 0b10, 2], [7, 3, 4, 0b1, 0, 2]];
        assert_eq!(table(&tables, tables.places.chunks, 24), chunks.concat());
        let levels = [[0, 0, 0, 0, 0], [1, 1, 2, 0, 0], [3, 3, 4, 0, 0], [4, 4, 4, 0, 0]];
        assert_eq!(table(&tables, tables.places.levels, 20), levels.concat());
        let column_nodes = [1, NONE, 2, NONE, NONE, NONE, 3, NONE, NONE];
        assert_eq!(table(&tables, tables.places.column_nodes, 9), column_nodes);
        assert_eq!(table(&tables, tables.places.node_segments, 4), [0, 1, 2, 3]);
        assert_eq!(table(&tables, tables.places.segment_slots, 4), [0, 1, 1, 2]);
        assert_eq!(table(&tables, tables.places.label_pairs, 6), [2, 2, 1, 2, 3, 3]);
        assert_eq!((tables.slots, tables.levels.len(), tables.in_order), (3, 3, true));
        // In each level a step for its nodes, then its one chunk.
        assert_eq!(tables.tree_steps(8), (1 + 4) + (1 + 3) + (1 + 3));
        assert_eq!(tables.tree_steps(1), (1 + 4) + (2 + 3 + 3) + (1 + 3));
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
        // Columns: [n2, n1 | 0, 1 | n3, n4 | 2 | 3]: node 1 is segment 2, whose columns come after those of node 2, whose
        // leaves come first.
        let chunks =
            [[0, 0, 1, 0b1, 0b11, 2], [2, 2, 5, 0b1, 0, 2], [4, 1, 3, 0b1, 0b11, 2], [6, 3, 5, 0b11, 0, 2]];
        assert_eq!(table(&tables, tables.places.chunks, 24), chunks.concat());
        assert_eq!(table(&tables, tables.places.node_segments, 5), [0, 2, 1, 3, 4]);
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
        let groups = [(0..65).collect::<Vec<u32>>(), (65..81).collect(), (81..97).collect()];
        let taxonomy = Taxonomy::two_levels(&groups).unwrap();
        let tables = Tables::new(&GroupedLoss::realistic_taxonomic(&taxonomy, 0.5, 0).unwrap(), 1).unwrap();
        let levels = [[0, 0, 0, 0, 0], [1, 1, 3, 0, 1], [4, 3, 3, 1, 1]];
        assert_eq!(table(&tables, tables.places.levels, 15), levels.concat());
        assert_eq!(table(&tables, tables.places.wide, 3), [1, 3, 68]);
        // Chunks of 16 columns: 97 are eight of less.
        assert_eq!(table(&tables, tables.places.chunks + 6, 6), [68, 2, 4, 1, 0, 16]);
        // The root; then five turns of eight pairs for 66 columns, and 16 for a thread.
        assert_eq!(tables.tree_steps(8), (1 + 4) + (1 + 3 * 5 + 17));
    }
}
