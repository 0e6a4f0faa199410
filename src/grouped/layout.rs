//! Where things are in a row: segments by column, targets by label, the tree above a leaf.

use super::GroupedLoss;
use crate::{Error, Result};

/// What follows from segments and labels, for a spec that has been checked.
pub(crate) struct Layout {
    /// `[G + 1]`: where each segment begins; the last entry is the width.
    pub(crate) starts: Vec<usize>,
    /// `[W]`: the segment of each column.
    pub(crate) segment_of: Vec<usize>,
    /// `[G]`: the segment above, in a tree.
    pub(crate) above: Vec<Option<usize>>,
    /// `[G]`: the lowest label below each node, in a tree.
    pub(crate) first_label: Vec<Option<usize>>,
}

impl Layout {
    pub(crate) fn new(spec: &GroupedLoss) -> Result<Self> {
        let mut starts = vec![0usize];
        let mut segment_of = Vec::new();
        for (segment, part) in spec.segments.iter().enumerate() {
            let columns = usize::try_from(part.columns).unwrap_or(usize::MAX);
            if columns > i32::MAX as usize - segment_of.len() {
                return Err(Error::Limit {
                    what: "the segments' columns".into(),
                    needed: u64::MAX,
                    allowed: i32::MAX as u64,
                    cure: "use fewer or smaller segments",
                });
            }
            segment_of.resize(segment_of.len() + columns, segment);
            starts.push(segment_of.len());
        }
        let column = |column: u32| usize::try_from(column).ok();
        let above = spec.segments.iter().map(|part| part.parent.and_then(column));
        let above = above.map(|parent| parent.and_then(|parent| segment_of.get(parent).copied())).collect();
        let mut first_label = vec![None; spec.segments.len()];
        for (label, columns) in spec.labels.iter().enumerate() {
            for segment in columns.iter().filter_map(|&c| segment_of.get(column(c)?)) {
                if let Some(first) = first_label.get_mut(*segment) {
                    first.get_or_insert(label);
                }
            }
        }
        Ok(Self { starts, segment_of, above, first_label })
    }

    /// The columns of a segment.
    pub(crate) fn span(&self, segment: usize) -> std::ops::Range<usize> {
        let start = self.starts.get(segment).copied().unwrap_or(0);
        start..self.starts.get(segment + 1).copied().unwrap_or(start)
    }

    /// How many columns a row has.
    pub(crate) fn width(&self) -> usize {
        self.segment_of.len()
    }
}

impl GroupedLoss {
    /// The columns of a label, ascending, one in each segment of its own.
    pub(crate) fn columns_of(&self, label: usize) -> impl Iterator<Item = usize> {
        let columns = self.labels.get(label).map_or(&[][..], Vec::as_slice);
        columns.iter().filter_map(|&column| usize::try_from(column).ok())
    }

    /// The column that a label should have in each segment, `[G]`, and whether it is its own: `None` where it takes no
    /// part.
    pub(crate) fn targets_of(&self, layout: &Layout, label: usize) -> Vec<Option<(usize, bool)>> {
        let others = |(segment, part): (usize, &super::Segment)| {
            part.others.then(|| (layout.span(segment).start, false))
        };
        let mut targets: Vec<Option<(usize, bool)>> = self.segments.iter().enumerate().map(others).collect();
        for column in self.columns_of(label) {
            let Some(&segment) = layout.segment_of.get(column) else { continue };
            let is_others = targets.get(segment).copied().flatten() == Some((column, false));
            if let Some(target) = targets.get_mut(segment) {
                *target = Some((column, !is_others));
            }
        }
        targets
    }
}
