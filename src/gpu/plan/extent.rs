//! The shape of a plan: what the request says, checked, and cut into windows.

use super::computed::Computed;
use super::windows::{Bounds, CLASS_STEP, Matrix, Part, Shape, Windows};
use crate::element::Element;
use crate::gpu::choice::RowChoice;
use crate::gpu::kernels::Kernels;
use crate::gpu::request::PlanRequest;
use crate::gpu::shader::Storage;
use crate::gpu::view::View;
use crate::{Error, Result};
use std::ops::Range;

/// The rows and classes of a plan and its matrices, in 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    pub rows: u64,
    /// The plan's own classes, and K.
    pub classes: Range<u64>,
    pub total_classes: u64,
    /// Columns of the matrices' rows before the plan's own.
    pub first_column: u64,
    pub logits: Matrix,
    pub gradient: Matrix,
    /// Soft targets or given gates, and how many columns they have: most often the plan's own classes.
    pub dense: Matrix,
    pub dense_columns: Option<u64>,
    /// The teacher's logits, whose rows have as many columns as its stride.
    pub teacher: Option<Matrix>,
    /// How many labels there are: most often K.
    pub labels: u64,
    /// Rows of each block.
    pub blocks: Vec<u64>,
    /// Whether blocks of logits follow each other in one scratch buffer, while dense matrices are whole.
    pub scratch: bool,
    /// The logits, where they are in no matrix.
    pub computed: Option<Computed>,
}

impl Extent {
    /// Checks what a request says of its shape.
    ///
    /// # Errors
    /// [`Error::Parameter`] for strides below the width, blocks that do not add up to N, and shards that are none;
    /// [`Error::Limit`] for sizes that no memory has.
    pub(crate) fn new(request: &PlanRequest) -> Result<Self> {
        let own = request.own_classes();
        if own.start > own.end || own.end > request.classes {
            return Err(parameter(
                "the end of the shard's classes",
                own.end,
                "at most K, and not before their start",
            ));
        }
        if let Some(shard) = &request.shard {
            if shard.index >= shard.shards {
                return Err(parameter("the shard's number", shard.index, "below the number of shards"));
            }
        }
        let width = own.len();
        let in_place = request.storage == Storage::InPlace;
        let matrix = |name, stride: usize, element: Element| match stride >= width {
            true => Ok(Matrix { stride: stride as u64, bytes: element.bytes() }),
            false => Err(parameter(name, stride, "at least the number of classes")),
        };
        let logits = matrix("logits_stride", request.logits_stride, request.logits)?;
        let gradient = match in_place {
            true => logits,
            false => matrix("gradient_stride", request.gradient_stride, request.gradient)?,
        };
        if in_place && request.gradient != request.logits {
            return Err(Error::Combination {
                first: "a gradient in place",
                second: "a gradient of another element type than the logits'",
                cure: "give both one element type, or the gradient a buffer of its own",
            });
        }
        let rows = request.rows as u64;
        let blocks: Vec<u64> = match request.row_blocks.is_empty() {
            true => vec![rows],
            false => request.row_blocks.iter().map(|&rows| rows as u64).collect(),
        };
        if blocks.iter().try_fold(0u64, |sum, &rows| sum.checked_add(rows)) != Some(rows) {
            return Err(parameter("the number of rows of all blocks", request.rows, "N"));
        }
        let extent = Self {
            rows,
            classes: own.start as u64..own.end as u64,
            total_classes: request.classes as u64,
            first_column: request.first_column as u64,
            logits,
            gradient,
            dense: Matrix { stride: width as u64, bytes: 4 },
            dense_columns: None,
            teacher: None,
            labels: request.classes as u64,
            blocks,
            scratch: request.scratch,
            computed: request.computed,
        };
        for (what, matrix) in [("logits", logits), ("the gradient", gradient), ("soft targets", extent.dense)]
        {
            let size = matrix.size(rows, extent.width());
            // Offsets are counted in 64 bits, rows in 32.
            if size.is_none_or(|size| size > 1 << 62) || rows > u64::from(u32::MAX >> 1) {
                return Err(Error::Limit {
                    what: format!("{what} (bytes)"),
                    needed: size.unwrap_or(u64::MAX),
                    allowed: 1 << 62,
                    cure: "use fewer rows or a smaller stride",
                });
            }
        }
        Ok(extent)
    }

    /// With gates of another width than the logits'.
    pub(crate) fn with_dense(mut self, columns: u64) -> Self {
        self.dense = Matrix { stride: columns, bytes: 4 };
        self.dense_columns = Some(columns);
        self
    }

    /// With another number of labels than columns.
    pub(crate) fn with_labels(mut self, labels: usize) -> Self {
        self.labels = labels as u64;
        self
    }

    /// The plan's own classes.
    pub(crate) fn width(&self) -> u64 {
        self.classes.end - self.classes.start
    }

    /// Whether rows of a packed gradient share words.
    pub(crate) fn has_edges(&self, packed: bool) -> bool {
        let odd = |count: u64| count % 2 == 1;
        packed && (odd(self.gradient.stride) || odd(self.width()) || odd(self.first_column))
    }

    /// Whether pairs of logits lie across words where pairs of the gradient do not.
    pub(crate) fn straddles(&self) -> bool {
        let both_packed = self.logits.bytes == 2 && self.gradient.bytes == 2;
        both_packed && self.logits.stride % 2 != self.gradient.stride % 2
    }

    /// From one row of a workgroup to the next: rows of a workgroup start on the same half of a word.
    pub(crate) fn row_step(&self) -> u64 {
        let odd = |matrix: &Matrix| matrix.bytes == 2 && matrix.stride % 2 == 1;
        if odd(&self.logits) || odd(&self.gradient) { 2 } else { 1 }
    }

    /// Cuts the batch.
    ///
    /// # Errors
    /// [`Error::Limit`] where nothing fits.
    pub(crate) fn cut(&self, kernels: &Kernels, choice: RowChoice, needs: &Needs) -> Result<Cut> {
        let limits = kernels.device.limits();
        let alignment = u64::from(limits.min_storage_buffer_offset_alignment).max(4);
        let most = u64::from(limits.max_compute_workgroups_per_dimension.max(1));
        let bounds = Bounds { binding: kernels.max_binding(), alignment, groups: most * most };
        let computed = self.computed;
        let mut matrices = if computed.is_some() { vec![] } else { vec![self.logits, self.gradient] };
        if needs.dense {
            matrices.push(self.dense);
        }
        matrices.extend(self.teacher);
        // What a workgroup goes through in steps: blocks of columns, or tiles of computed ones.
        let block = match (computed, needs.step) {
            (Some(computed), _) => computed.tile().1,
            (None, 0) => 4 * u64::from(choice.workgroup),
            (None, step) => step,
        };
        // Rows may start in the middle of a word: one more column.
        let more = u64::from(computed.is_none());
        let blocks_of = |width: u64| (width + more).div_ceil(block).max(1);
        let mut split = u64::from(choice.split.max(1));
        split = split.max(match computed {
            None => blocks_of(self.width()).div_ceil(LONGEST_LOOP),
            // The narrowest range of classes, in pieces of as many tiles as one workgroup may compute.
            Some(computed) => CLASS_STEP.div_ceil(block * computed.most_tiles()),
        });
        // Slots of computed logits are those of the first range of classes: the others add to them.
        let (slots_once, slots_per_range) = if computed.is_some() { (split, 0) } else { (0, split) };
        let saved_fields = needs.saved_fields + slots_once * needs.slot_fields;
        let shape = Shape {
            blocks: self.blocks.clone(),
            classes: self.width(),
            matrices,
            class_bytes: needs.class_bytes,
            most_classes: computed
                .map_or(0, |computed| computed.most_classes.min(split * computed.most_tiles() * block)),
            row_bytes: 4 * saved_fields.max(needs.row_fields),
            row_bytes_per_range: 4 * slots_per_range * needs.slot_fields,
            row_groups: split,
            most_rows: match (needs.rows_in_a_loop, needs.most_rows) {
                (true, 0) => LONGEST_LOOP,
                (true, most) => most.min(LONGEST_LOOP),
                (false, most) => most,
            },
        };
        let windows = Windows::new(&shape, bounds)?;
        let widest = windows.classes.iter().map(|classes| u64::from(classes.end - classes.start)).max();
        let mut list = Vec::with_capacity(windows.rows.len() * windows.classes.len());
        let mut slots = 0;
        for (row_range, rows) in windows.rows.iter().enumerate() {
            slots = 0;
            for (class_range, classes) in windows.classes.iter().enumerate() {
                let width = classes.end - classes.start;
                let blocks = blocks_of(u64::from(width));
                let piece_blocks = match computed {
                    None => blocks.div_ceil(split),
                    // No range has more pieces than the first.
                    Some(_) => blocks_of(widest.unwrap_or(0)).div_ceil(split),
                };
                let pieces = blocks.div_ceil(piece_blocks);
                let part_from = |row: u64, matrix: Matrix| {
                    let start = self.first_column + u64::from(classes.start);
                    matrix.part(row, start, u64::from(rows.rows), u64::from(width), alignment)
                };
                let part = |matrix| match computed {
                    None => part_from(rows.block_row, matrix),
                    Some(_) => Part::default(),
                };
                let whole_rows = |row: u64, matrix: Matrix, columns: u64| {
                    matrix.part(row, 0, u64::from(rows.rows), columns, alignment)
                };
                let dense_row = if self.scratch { rows.row } else { rows.block_row };
                list.push(Window {
                    row_range,
                    class_range,
                    block: rows.block,
                    first_row: rows.row,
                    rows: rows.rows,
                    classes: classes.clone(),
                    pieces: narrow(pieces),
                    piece_blocks: narrow(piece_blocks),
                    first_slot: if computed.is_some() { 0 } else { slots },
                    logits: part(self.logits),
                    gradient: part(self.gradient),
                    dense: match self.dense_columns {
                        None => part_from(dense_row, self.dense),
                        // Not of classes.
                        Some(columns) => whole_rows(dense_row, self.dense, columns),
                    },
                    teacher: self.teacher.map_or_else(Part::default, |teacher| {
                        whole_rows(rows.block_row, teacher, teacher.stride)
                    }),
                });
                slots = match computed {
                    None => slots + narrow(pieces),
                    Some(_) => slots.max(narrow(pieces)),
                };
            }
        }
        let split = split > 1 || windows.classes.len() > 1 || computed.is_some();
        Ok(Cut { split, ranges: windows, windows: list, slots })
    }
}

/// What a family binds for each row and class of a window, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// Whether there is a matrix of targets or gates.
    pub dense: bool,
    /// Bytes of one class in the widest array over classes.
    pub class_bytes: u64,
    /// Fields that a row is prepared with.
    pub row_fields: u64,
    /// Fields that a row leaves, slots aside.
    pub saved_fields: u64,
    /// Fields of one slot of a row that is split.
    pub slot_fields: u64,
    /// Columns that a workgroup takes in one step; 0: four for each thread.
    pub step: u64,
    /// Whether some kernel goes through a window's rows one after another.
    pub rows_in_a_loop: bool,
    /// Rows of a window, at most; 0: as many as fit.
    pub most_rows: u64,
}

/// The most iterations that a loop of a kernel has. Mesa's llvmpipe ends a thread's loops after 65,535 iterations, all of
/// them together, without a word, and drivers of displays end what runs too long. A row's kernel goes through its columns up
/// to six times in units of this: for the mass, four times over stretches with compensation, and for the gradient.
pub(crate) const LONGEST_LOOP: u64 = 8192;

/// A batch in windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    pub ranges: Windows,
    /// Every range of rows with every range of classes, in that order.
    pub windows: Vec<Window>,
    /// Slots of one row.
    pub slots: u32,
    /// Whether several workgroups or windows share a row.
    pub split: bool,
}

/// A range of rows and of classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub row_range: usize,
    pub class_range: usize,
    /// The block of the caller's matrices.
    pub block: usize,
    /// Its first row in the batch.
    pub first_row: u64,
    pub rows: u32,
    /// Its classes, counted from the plan's first.
    pub classes: Range<u32>,
    /// Workgroups that share a row, and the blocks of columns that each has.
    pub pieces: u32,
    pub piece_blocks: u32,
    pub first_slot: u32,
    pub logits: Part,
    pub gradient: Part,
    pub dense: Part,
    pub teacher: Part,
}

impl Window {
    /// The window's classes of an array with so many bytes a class.
    pub(crate) fn classes_of<'a>(&self, view: View<'a>, bytes: u64) -> Option<wgpu::BufferBinding<'a>> {
        let offset = view.offset + bytes * u64::from(self.classes.start);
        View::new(view.buffer, offset, bytes * u64::from(self.width())).binding()
    }

    pub(crate) fn width(&self) -> u32 {
        self.classes.end - self.classes.start
    }
}

/// Counts that windows keep within 32 bits.
pub(crate) fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "only for the message")]
fn parameter(name: &'static str, value: usize, expected: &'static str) -> Error {
    Error::Parameter { name, value: value as f64, expected }
}
