//! What follows from segments, labels and the tree, as words for the kernels.

use crate::batch::TargetKind;
use crate::gpu::plan::narrow;
use crate::grouped::Layout;
use crate::random::{DrawSource, quota};
use crate::{GroupedLoss, Result};

/// Leaves below a column up to which a thread sums them up alone.
const LONGEST_RUN: usize = 64;
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
    pub above: u32,
    pub first_labels: u32,
    pub column_segments: u32,
    pub label_starts: u32,
    pub label_columns: u32,
    pub label_pairs: u32,
    pub quotas: u32,
    pub leaves: u32,
    pub runs: u32,
    pub column_wide: u32,
    pub wide: u32,
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
    /// Columns with more than [`LONGEST_RUN`] leaves below.
    pub wide_columns: u32,
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
        let index = |place: &Option<usize>| place.map_or(NONE, word);
        let places = Places {
            starts: add(layout.starts.iter().copied().map(word).collect()),
            segment_flags: add(spec.segments.iter().map(flags).collect()),
            segment_slots: add(slots.clone()),
            above: add(layout.above.iter().map(index).collect()),
            first_labels: add(layout.first_label.iter().map(index).collect()),
            column_segments: add(layout.segment_of.iter().copied().map(word).collect()),
            label_starts: add(label_starts),
            label_columns: add((0..spec.labels.len()).flat_map(columns).collect()),
            label_pairs: add(pairs(spec, &layout)),
            leaves: add(tree.leaves),
            runs: add(tree.runs),
            column_wide: add(tree.column_wide),
            wide: add(tree.wide.clone()),
            quotas: add(quotas(spec, rows)),
        };
        Ok(Self {
            words,
            places,
            segments: word(spec.segments.len()),
            labels: word(spec.labels.len()),
            slots: slots.into_iter().max().map_or(1, |slot| slot + 1),
            wide_columns: word(tree.wide.len()),
        })
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

/// The leaves of a tree from left to right.
#[derive(Debug, Default)]
struct Tree {
    /// `[C]`: the labels in that order.
    leaves: Vec<u32>,
    /// `[W, 2]`: the run of them below each column.
    runs: Vec<u32>,
    /// `[W]`: the column's number among the wide ones.
    column_wide: Vec<u32>,
    /// Those columns.
    wide: Vec<u32>,
}

impl Tree {
    fn new(spec: &GroupedLoss, layout: &Layout) -> Self {
        // The node below each column.
        let mut below = vec![None; layout.width()];
        for (segment, part) in spec.segments.iter().enumerate() {
            let column = part.parent.and_then(|column| usize::try_from(column).ok());
            if let Some(place) = column.and_then(|column| below.get_mut(column)) {
                *place = Some(segment);
            }
        }
        let node = |column: usize| below.get(column).copied().flatten();
        // Nodes come after those above them: sizes from the last one up, places from the first one down.
        let mut sizes = vec![0usize; spec.segments.len()];
        let mut widths = vec![1usize; layout.width()];
        for segment in (0..spec.segments.len()).rev() {
            let mut size = 0;
            for column in layout.span(segment) {
                let width = node(column).and_then(|node| sizes.get(node)).copied().unwrap_or(1);
                size += width;
                if let Some(place) = widths.get_mut(column) {
                    *place = width;
                }
            }
            if let Some(place) = sizes.get_mut(segment) {
                *place = size;
            }
        }
        let mut runs = vec![0u32; 2 * layout.width()];
        let mut begins = vec![0usize; spec.segments.len()];
        let mut begin_of_column = vec![0usize; layout.width()];
        for segment in 0..spec.segments.len() {
            let mut next = begins.get(segment).copied().unwrap_or(0);
            for column in layout.span(segment) {
                let width = widths.get(column).copied().unwrap_or(0);
                if let Some(run) = runs.get_mut(2 * column..2 * column + 2) {
                    run.copy_from_slice(&[word(next), word(next + width)]);
                }
                if let Some(place) = begin_of_column.get_mut(column) {
                    *place = next;
                }
                if let Some(place) = node(column).and_then(|node| begins.get_mut(node)) {
                    *place = next;
                }
                next += width;
            }
        }
        let mut leaves = vec![0u32; spec.labels.len()];
        for label in 0..spec.labels.len() {
            let place = spec.columns_of(label).last().and_then(|column| begin_of_column.get(column));
            if let Some(place) = place.and_then(|place| leaves.get_mut(*place)) {
                *place = word(label);
            }
        }
        let wide: Vec<usize> = (0..layout.width())
            .filter(|column| widths.get(*column).is_some_and(|width| *width > LONGEST_RUN))
            .collect();
        let mut column_wide = vec![NONE; layout.width()];
        for (number, column) in wide.iter().enumerate() {
            if let Some(place) = column_wide.get_mut(*column) {
                *place = word(number);
            }
        }
        Self { leaves, runs, column_wide, wide: wide.into_iter().map(word).collect() }
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
    fn leaves_from_left_to_right() {
        let tables = Tables::new(&tree(), 4).unwrap();
        assert_eq!(table(&tables, tables.places.leaves, 6), [3, 0, 2, 1, 5, 4]);
        // Columns: [n1, 2, n2 | 3, 0 | 1, n3 | 5, 4].
        let runs = [[0, 2], [2, 3], [3, 6], [0, 1], [1, 2], [3, 4], [4, 6], [4, 5], [5, 6]].concat();
        assert_eq!(table(&tables, tables.places.runs, 18), runs);
        assert_eq!(table(&tables, tables.places.segment_slots, 4), [0, 1, 1, 2]);
        assert_eq!(table(&tables, tables.places.above, 4), [NONE, 0, 0, 2]);
        assert_eq!(table(&tables, tables.places.first_labels, 4), [0, 0, 1, 4]);
        assert_eq!(table(&tables, tables.places.label_pairs, 6), [2, 2, 1, 2, 3, 3]);
        assert_eq!((tables.slots, tables.wide_columns), (3, 0));
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
    fn wide_columns_are_those_with_many_leaves() {
        let groups = [(0..65).collect::<Vec<u32>>(), (65..129).collect()];
        let taxonomy = Taxonomy::two_levels(&groups).unwrap();
        let tables = Tables::new(&GroupedLoss::realistic_taxonomic(&taxonomy, 0.5, 0).unwrap(), 1).unwrap();
        assert_eq!(tables.wide_columns, 1);
        assert_eq!(table(&tables, tables.places.column_wide, 3), [0, NONE, NONE]);
        assert_eq!(table(&tables, tables.places.wide, 1), [0]);
    }
}
