//! Cutting a batch into windows: ranges of rows and ranges of classes whose every binding fits the device.
//!
//! The kernels see one window at a time, as a small problem of its own. Rows are cut first; a row is cut into ranges of
//! classes only where one row, or the class table, is longer than a binding. A window starts wherever its rows or
//! classes start: its binding begins at the last aligned byte before that, and the kernel is told how many elements
//! further on it starts.

use crate::{Error, Result};
use std::ops::Range;

/// What the device allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes of one storage binding.
    pub binding: u64,
    /// The alignment of a binding's offset.
    pub alignment: u64,
    /// Workgroups in one dispatch.
    pub groups: u64,
}

/// An N x K matrix of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Matrix {
    /// Elements from one row to the next.
    pub stride: u64,
    /// Bytes of an element.
    pub bytes: u64,
}

impl Matrix {
    /// Bytes of `rows` rows of `classes` elements, to a multiple of 4; `None` beyond 64 bits.
    pub(crate) fn size(&self, rows: u64, classes: u64) -> Option<u64> {
        if rows == 0 || classes == 0 {
            return Some(0);
        }
        let elements = (rows - 1).checked_mul(self.stride)?.checked_add(classes)?;
        elements.checked_mul(self.bytes)?.checked_next_multiple_of(4)
    }

    /// Where the window's part lies: the aligned offset in bytes, the bytes to bind, and the elements between the two
    /// starts.
    pub(crate) fn part(&self, row: u64, class: u64, rows: u64, classes: u64, alignment: u64) -> Part {
        let start = (row * self.stride + class) * self.bytes;
        let offset = start / alignment * alignment;
        // Rounded up once: what starts in the middle of a word may end with one.
        let elements = if rows == 0 || classes == 0 { 0 } else { (rows - 1) * self.stride + classes };
        let size = self.bytes * elements;
        Part {
            offset,
            size: if size == 0 { 0 } else { (start - offset + size).next_multiple_of(4) },
            origin: (start - offset) / self.bytes,
        }
    }
}

/// A part of a matrix as it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub offset: u64,
    pub size: u64,
    pub origin: u64,
}

/// What is to be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Rows of each block that the caller's matrices come in.
    pub blocks: Vec<u64>,
    pub classes: u64,
    pub matrices: Vec<Matrix>,
    /// Bytes of one class in the widest array over classes, 0 without one.
    pub class_bytes: u64,
    /// Classes of a window, at most; 0: as many as fit.
    pub most_classes: u64,
    /// Bytes of one row in the widest array over rows, and what each range of classes adds to them.
    pub row_bytes: u64,
    pub row_bytes_per_range: u64,
    /// Workgroups for each row.
    pub row_groups: u64,
    /// Rows that some kernel goes through in one loop, at most; 0 without such a kernel.
    pub most_rows: u64,
}

/// Rows that are worked on together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    /// The block they lie in, and their first row there.
    pub block: usize,
    pub block_row: u64,
    /// Their first row in the batch.
    pub row: u64,
    pub rows: u32,
}

/// The windows of a batch: every range of rows with every range of classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Windows {
    pub rows: Vec<Rows>,
    pub classes: Vec<Range<u32>>,
    /// Rows that a window could have.
    pub most_rows: u64,
}

/// Ranges of classes start at multiples of this, so that bindings of 4 bytes a class are aligned on every device.
pub(super) const CLASS_STEP: u64 = 64;

impl Windows {
    /// Cuts a shape.
    ///
    /// # Errors
    /// [`Error::Limit`] where not even one row of [`CLASS_STEP`] classes fits.
    pub(crate) fn new(shape: &Shape, bounds: Bounds) -> Result<Self> {
        let limit = |what: &str, needed: u64| Error::Limit {
            what: format!("{what} (bytes in one binding)"),
            needed,
            allowed: bounds.binding,
            cure: "request the device with a higher max_storage_buffer_binding_size",
        };
        // A window may start anywhere between two aligned offsets.
        let usable = bounds.binding.saturating_sub(bounds.alignment) / 4 * 4;
        let mut width = shape.classes;
        for matrix in &shape.matrices {
            width = width.min(usable / matrix.bytes);
        }
        width = width.min(bounds.binding.checked_div(shape.class_bytes).unwrap_or(width));
        if width < shape.classes {
            width = width / CLASS_STEP * CLASS_STEP;
        }
        if (1..width).contains(&shape.most_classes) {
            width = shape.most_classes.next_multiple_of(CLASS_STEP).min(width);
        }
        if width == 0 && shape.classes > 0 {
            let bytes = shape.matrices.iter().map(|matrix| matrix.bytes).max().unwrap_or(4);
            let needed = CLASS_STEP * bytes.max(shape.class_bytes) + bounds.alignment;
            return Err(limit("a range of classes", needed));
        }
        let pieces = shape.classes.div_ceil(width.max(1)).max(1);
        let width = shape.classes.div_ceil(pieces).next_multiple_of(CLASS_STEP).min(width);
        let classes = ranges(shape.classes, width);

        // Rows of one window.
        let row_bytes = (shape.row_bytes + shape.row_bytes_per_range * classes.len() as u64).max(1);
        let mut most = usable / row_bytes;
        for matrix in &shape.matrices {
            let elements = usable / matrix.bytes;
            most = most.min(1 + elements.saturating_sub(width) / matrix.stride.max(1));
        }
        most = most.min(bounds.groups / shape.row_groups.max(1)).min(u64::from(u32::MAX >> 1));
        if shape.most_rows > 0 {
            most = most.min(shape.most_rows);
        }
        if most == 0 {
            return Err(limit("the fields of one row", row_bytes + bounds.alignment));
        }
        let mut rows = Vec::new();
        let mut first = 0;
        for (block, &height) in shape.blocks.iter().enumerate() {
            // Even windows, in steps of 8 rows where possible: whole groups of rows.
            let parts = height.div_ceil(most).max(1);
            let even = height.div_ceil(parts);
            let step = if even.next_multiple_of(8) <= most { even.next_multiple_of(8) } else { even };
            let mut done = 0;
            while done < height {
                let count = step.min(height - done);
                rows.push(Rows {
                    block,
                    block_row: done,
                    row: first + done,
                    rows: u32::try_from(count).unwrap_or(u32::MAX),
                });
                done += count;
            }
            first += height;
        }
        if rows.is_empty() {
            // A batch of no rows still has a loss: one window of none.
            rows.push(Rows { block: 0, block_row: 0, row: 0, rows: 0 });
        }
        Ok(Self { rows, classes, most_rows: most })
    }
}

/// `0..classes` in steps of `width`; one empty range for no classes.
fn ranges(classes: u64, width: u64) -> Vec<Range<u32>> {
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let mut ranges = Vec::new();
    let mut begin = 0;
    loop {
        let end = (begin + width.max(1)).min(classes);
        ranges.push(narrow(begin)..narrow(end));
        begin = end;
        if begin >= classes {
            return ranges;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const LAVAPIPE: Bounds = Bounds { binding: 128 << 20, alignment: 32, groups: 65_535 * 65_535 };

    fn shape(rows: u64, classes: u64, bytes: u64) -> Shape {
        Shape {
            blocks: vec![rows],
            classes,
            matrices: vec![Matrix { stride: classes, bytes }; 2],
            class_bytes: 0,
            most_classes: 0,
            row_bytes: 40,
            row_bytes_per_range: 0,
            row_groups: 1,
            most_rows: 0,
        }
    }

    /// Every row and class once, in order, each window's bindings within the bounds and aligned.
    fn check(shape: &Shape, bounds: Bounds) -> Windows {
        let windows = Windows::new(shape, bounds).unwrap();
        let mut next = 0;
        for rows in &windows.rows {
            assert_eq!(rows.row, next);
            let before: u64 = shape.blocks.iter().take(rows.block).sum();
            assert_eq!(rows.row, before + rows.block_row);
            next += u64::from(rows.rows);
            for classes in &windows.classes {
                for matrix in &shape.matrices {
                    let count = u64::from(classes.end - classes.start);
                    let part = matrix.part(
                        rows.block_row,
                        u64::from(classes.start),
                        u64::from(rows.rows),
                        count,
                        bounds.alignment,
                    );
                    assert!(part.size <= bounds.binding, "{part:?}");
                    assert_eq!(part.offset % bounds.alignment, 0);
                    assert_eq!(part.size % 4, 0);
                    let start = (rows.block_row * matrix.stride + u64::from(classes.start)) * matrix.bytes;
                    assert_eq!(part.offset + part.origin * matrix.bytes, start);
                    // 32-bit indices reach every element.
                    assert!(part.size / matrix.bytes < 1 << 31);
                }
            }
        }
        assert_eq!(next, shape.blocks.iter().sum::<u64>());
        let mut next = 0;
        for classes in &windows.classes {
            assert_eq!(u64::from(classes.start), next);
            assert!(classes.start.is_multiple_of(64));
            next = u64::from(classes.end);
        }
        assert_eq!(next, shape.classes);
        windows
    }

    #[test]
    fn what_fits_is_one_window() {
        let windows = check(&shape(256, 8142, 4), LAVAPIPE);
        assert_eq!((windows.rows.len(), windows.classes.len()), (1, 1));
    }

    #[test]
    fn rows_beyond_a_binding() {
        // 300 MiB: three windows of 100 rows, 8 divides 104.
        let windows = check(&shape(300, 262_144, 4), LAVAPIPE);
        assert_eq!(windows.rows.iter().map(|rows| rows.rows).collect::<Vec<_>>(), [104, 104, 92]);
        // Half the bytes: two.
        assert_eq!(check(&shape(300, 262_144, 2), LAVAPIPE).rows.len(), 2);
    }

    #[test]
    fn a_row_beyond_a_binding() {
        let windows = check(&shape(1, 50_000_000, 4), LAVAPIPE);
        assert_eq!((windows.rows.len(), windows.classes.len()), (1, 2));
        let windows = check(&shape(3, 50_000_000, 4), LAVAPIPE);
        assert_eq!((windows.rows.len(), windows.classes.len()), (3, 2));
    }

    /// More than 2^32 elements, and bytes beyond 2^33: nothing is counted in 32 bits.
    #[test]
    fn more_elements_than_32_bits_count() {
        let gpu = Bounds { binding: (1 << 31) - 4, alignment: 256, groups: 65_535 * 65_535 };
        for bounds in [LAVAPIPE, gpu] {
            let windows = check(&shape(70_000, 262_144, 2), bounds);
            assert!(windows.rows.len() >= 18, "{}", windows.rows.len());
        }
    }

    #[test]
    fn odd_strides_and_blocks() {
        for stride in [1001, 1002, 4096] {
            let mut shape = shape(0, 1001, 2);
            shape.blocks = vec![5, 0, 1, 700, 33];
            shape.matrices = vec![Matrix { stride, bytes: 2 }, Matrix { stride: 1001, bytes: 4 }];
            check(&shape, Bounds { binding: 65_536, alignment: 256, groups: 65_535 * 65_535 });
            check(&shape, Bounds { binding: 1024, alignment: 32, groups: 16 });
        }
    }

    #[test]
    fn class_tables_and_row_fields_bind_too() {
        let mut table = shape(4, 10_000, 4);
        table.class_bytes = 28;
        let windows = check(&table, Bounds { binding: 65_536, alignment: 32, groups: 1 << 32 });
        assert!(windows.classes.iter().all(|classes| (classes.end - classes.start) * 28 <= 65_536));
        let mut fields = shape(100_000, 2, 4);
        fields.row_bytes = 100;
        let windows = check(&fields, Bounds { binding: 65_536, alignment: 32, groups: 1 << 32 });
        assert!(windows.rows.iter().all(|rows| rows.rows * 100 <= 65_536));
    }

    #[test]
    fn nothing_is_nothing() {
        let windows = check(&shape(0, 10, 4), LAVAPIPE);
        assert_eq!(windows.rows.iter().map(|rows| rows.rows).collect::<Vec<_>>(), [0]);
        let windows = check(&shape(7, 0, 4), LAVAPIPE);
        assert_eq!(windows.rows.len(), 1);
        assert_eq!(
            windows.classes.iter().map(|classes| (classes.start, classes.end)).collect::<Vec<_>>(),
            [(0, 0)]
        );
    }

    #[test]
    fn what_cannot_be_bound_is_an_error() {
        let bounds = Bounds { binding: 64, alignment: 32, groups: 1 << 32 };
        assert!(matches!(Windows::new(&shape(2, 100, 4), bounds), Err(Error::Limit { .. })));
        let mut fields = shape(2, 4, 4);
        fields.row_bytes = 4000;
        assert!(matches!(Windows::new(&fields, bounds), Err(Error::Limit { .. })));
    }
}
