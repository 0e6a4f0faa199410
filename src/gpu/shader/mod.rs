//! The text of every kernel: a generated header and whole files of `shaders/`, concatenated.
//!
//! The only module that knows what is in `shaders/`. [`KernelKey::wgsl`] is a pure function of the key, which is
//! also what the pipeline cache hashes; no float is part of it.

mod bindings;
mod files;
mod header;
mod matrices;
mod text;

pub use bindings::{Access, Binding};
pub(crate) use files::{File, shader};
pub(crate) use header::{Column, Layout, SAVED_COEFFICIENTS, SAVED_LABELS, SAVED_OUTPUTS};
pub(crate) use matrices::Matrices;
pub(crate) use text::{name, text, write_constants};

use crate::batch::TargetKind;
use crate::element::Element;
use std::fmt::Write as _;

/// Where the gradient goes relative to the logits, which decides how buffers may be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Storage {
    /// The gradient's buffer holds nothing else that the loss reads. The default.
    #[default]
    Separate,
    /// Views may share a `wgpu::Buffer`, apart from each other (pooled engines).
    Shared,
    /// The gradient overwrites the logits. Other views may share their buffer.
    InPlace,
}

/// How a kernel reads or writes the elements of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cell {
    /// f32, a word each.
    #[default]
    F32,
    /// f16 where the device computes with it (`SHADER_F16`).
    NativeF16,
    /// f16, two in a 32-bit word, on every device.
    PackedF16,
    /// bf16, two in a 32-bit word, on every device.
    PackedBf16,
}

impl Cell {
    /// Every way.
    pub const ALL: [Cell; 4] = [Cell::F32, Cell::NativeF16, Cell::PackedF16, Cell::PackedBf16];

    pub(crate) fn new(element: Element, native_f16: bool) -> Self {
        match (element, native_f16) {
            (Element::F32, _) => Cell::F32,
            (Element::F16, true) => Cell::NativeF16,
            (Element::F16, false) => Cell::PackedF16,
            (Element::Bf16, _) => Cell::PackedBf16,
        }
    }

    /// Whether two elements share a word.
    pub fn packed(self) -> bool {
        matches!(self, Cell::PackedF16 | Cell::PackedBf16)
    }

    /// The type of a word in WGSL.
    fn word(self) -> &'static str {
        match self {
            Cell::F32 => "f32",
            Cell::NativeF16 => "f16",
            Cell::PackedF16 | Cell::PackedBf16 => "u32",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Cell::F32 => "f32",
            Cell::NativeF16 => "f16",
            Cell::PackedF16 => "f16x2",
            Cell::PackedBf16 => "bf16x2",
        }
    }
}

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Driver {
    /// Labels and per-row inputs to row fields.
    Prepare,
    /// Sums for the denominator, of many rows.
    ShareSums,
    /// The denominator that depends on labels.
    Denominator,
    /// Rows of any length: two passes over the logits.
    RowStream,
    /// Rows held on chip: one pass.
    RowChip,
    /// The statistics of sixteen rows at a time, and what they add to the columns of a regulariser beside the loss.
    RowsAndColumns,
    /// The labels' logits, for rows that are split.
    LabelLogits,
    /// The statistics of a piece of a row.
    Partial,
    /// Where seesaw's compensation begins, for rows that are split.
    Threshold,
    /// From the pieces' statistics to a row's result.
    CloseSlots,
    /// From the pieces' statistics to those of a shard.
    Gather,
    /// What other shards know of the labels.
    Adopt,
    /// The gradient from saved coefficients.
    Backward,
    /// The gradient of learnable class scales.
    ClassScaleGradient,
    /// The words of a packed gradient that rows share.
    Stitch,
    /// Sums for the reduced loss, of many rows.
    LossSums,
    /// The reduced loss and the status.
    Finish,
    /// Adds the batch to the cumulative class counts.
    CountLabels,
    /// Powers of the cumulative class counts.
    RefreshCounts,
}

impl Driver {
    /// Every kernel.
    pub const ALL: [Driver; 19] = [
        Driver::Prepare,
        Driver::ShareSums,
        Driver::Denominator,
        Driver::RowStream,
        Driver::RowChip,
        Driver::RowsAndColumns,
        Driver::LabelLogits,
        Driver::Partial,
        Driver::Threshold,
        Driver::CloseSlots,
        Driver::Gather,
        Driver::Adopt,
        Driver::Backward,
        Driver::ClassScaleGradient,
        Driver::Stitch,
        Driver::LossSums,
        Driver::Finish,
        Driver::CountLabels,
        Driver::RefreshCounts,
    ];

    fn name(self) -> &'static str {
        match self {
            Driver::Prepare => "prepare",
            Driver::ShareSums => "share_sums",
            Driver::Denominator => "denominator",
            Driver::RowStream => "row_stream",
            Driver::RowChip => "row_chip",
            Driver::RowsAndColumns => "rows_and_columns",
            Driver::LabelLogits => "label_logits",
            Driver::Partial => "partial",
            Driver::Threshold => "threshold",
            Driver::CloseSlots => "close_slots",
            Driver::Gather => "gather",
            Driver::Adopt => "adopt",
            Driver::Backward => "backward",
            Driver::ClassScaleGradient => "class_scale_gradient",
            Driver::Stitch => "stitch",
            Driver::LossSums => "loss_sums",
            Driver::Finish => "finish",
            Driver::CountLabels => "count_labels",
            Driver::RefreshCounts => "refresh_counts",
        }
    }

    /// Whether the kernel reads the logits.
    pub fn over_logits(self) -> bool {
        matches!(
            self,
            Driver::RowStream
                | Driver::RowChip
                | Driver::RowsAndColumns
                | Driver::LabelLogits
                | Driver::Partial
                | Driver::Backward
                | Driver::ClassScaleGradient
        )
    }

    /// Whether the kernel's text has the row and its loss in it; the others only look at fields.
    pub fn over_rows(self) -> bool {
        self.over_logits() || matches!(self, Driver::Threshold | Driver::CloseSlots | Driver::Gather)
    }

    /// Whether threads walk along rows in blocks of columns.
    pub(crate) fn walks_columns(self) -> bool {
        matches!(self, Driver::RowStream | Driver::RowChip | Driver::Partial | Driver::Backward)
    }
}

/// Which terms the inner loops have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct InnerTerms {
    /// A scale for each class.
    pub class_scale: bool,
    /// A bias for each class.
    pub bias: bool,
    /// Seesaw's mitigation.
    pub mitigation: bool,
    /// Seesaw's compensation.
    pub compensation: bool,
    /// Seesaw's floor of the target's probability, which needs the raw log-sum-exp first.
    pub floor: bool,
    /// Generated gates.
    pub gate: bool,
    /// Given gates.
    pub gate_given: bool,
    /// Targets of every class: soft targets, or label smoothing.
    pub dense: bool,
    /// Their class weights; without targets of every class only labels' weights matter, which belong to rows.
    pub class_weights: bool,
}

impl InnerTerms {
    /// Whether kernels over logits bind a dense matrix: soft targets, or given gates.
    pub(crate) fn binds_dense(&self, targets: TargetKind) -> bool {
        targets == TargetKind::Soft || self.gate_given
    }

    /// Seesaw's floor takes a second step on chip or over the logits.
    pub(crate) fn two_step(&self) -> bool {
        self.compensation && self.floor
    }
}

/// Which of the two looks at rows that are split over slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Look {
    /// The one that counts.
    #[default]
    Final,
    /// The first, for the raw mass that seesaw's floor needs.
    Raw,
}

/// Everything that a kernel's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KernelKey {
    /// Which kernel.
    pub driver: Driver,
    /// Which terms.
    pub terms: InnerTerms,
    /// Which targets.
    pub targets: TargetKind,
    /// How buffers are bound.
    pub storage: Storage,
    /// How logits are read.
    pub logits: Cell,
    /// How the gradient is written.
    pub gradient: Cell,
    /// Whether pairs of logits may lie across two words, where both matrices are packed and pairs follow the
    /// gradient's.
    pub straddle: bool,
    /// Rows per thread: 1 or 4.
    pub lanes: u32,
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Columns per thread held on chip ([`Driver::RowChip`]).
    pub chip: u32,
    /// Which look at rows that are split.
    pub look: Look,
    /// Whether the slots are those of shards.
    pub sharded: bool,
    /// Whether sums are of sums instead of rows ([`Driver::Denominator`], [`Driver::Finish`]).
    pub of_sums: bool,
    /// Whether the row kernel finds the largest logit.
    pub argmax: bool,
    /// Whether the row kernel writes the gradient.
    pub writes: bool,
    /// Whether the row kernel saves what a backward pass needs.
    pub coefficients: bool,
    /// Whether the gradient of a regulariser over columns is added ([`Driver::Backward`]).
    pub regularised: bool,
}

impl KernelKey {
    /// A key of a kernel with nothing switched on.
    pub fn new(driver: Driver, targets: TargetKind, workgroup: u32) -> Self {
        Self {
            driver,
            terms: InnerTerms::default(),
            targets,
            storage: Storage::Separate,
            logits: Cell::F32,
            gradient: Cell::F32,
            straddle: false,
            lanes: 1,
            workgroup,
            chip: 0,
            look: Look::Final,
            sharded: false,
            of_sums: false,
            argmax: false,
            writes: false,
            coefficients: false,
            regularised: false,
        }
    }

    /// Whether soft targets or given gates are bound.
    fn binds_dense(&self) -> bool {
        self.driver.over_logits() && self.terms.binds_dense(self.targets)
    }

    /// Whether the kernel writes the gradient, or something else in its place.
    pub(crate) fn writes_gradient(&self) -> bool {
        match self.driver {
            Driver::RowStream | Driver::RowChip => self.writes,
            Driver::Backward | Driver::ClassScaleGradient | Driver::Stitch => true,
            _ => false,
        }
    }

    fn has_upstream(&self) -> bool {
        matches!(self.driver, Driver::Backward | Driver::ClassScaleGradient)
    }

    /// How the kernel reaches the caller's matrices.
    pub(crate) fn matrices(&self) -> Matrices {
        let written = match self.driver {
            Driver::ClassScaleGradient => Cell::F32,
            _ => self.gradient,
        };
        Matrices {
            // A stitch writes whole words of one matrix, and reads no other.
            storage: self.storage,
            logits: (self.driver.over_logits()
                || self.driver == Driver::Stitch && self.storage == Storage::InPlace)
                .then_some(self.logits),
            gradient: self.writes_gradient().then_some(written),
            may_replace: self.driver != Driver::ClassScaleGradient,
            straddle: self.straddle,
            walks: self.driver.walks_columns(),
            lanes: self.lanes,
            dense: self.binds_dense(),
            upstream: self.has_upstream(),
        }
    }

    /// Columns that a thread takes in one step: 2 where two elements share a word.
    pub fn width(&self) -> u32 {
        self.matrices().width()
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        self.matrices().features()
    }

    /// Whether this pass sums raw mass beside, or before, the compensated one.
    fn two_step(&self) -> bool {
        let raw = match self.driver {
            Driver::RowStream | Driver::RowChip => true,
            _ => self.look == Look::Raw,
        };
        self.terms.two_step() && raw
    }

    /// How many stretches of a thread's columns keep their own maximum, at most: the fewer the threads, the more
    /// columns each has.
    fn tiles(&self) -> u32 {
        match self.driver {
            Driver::RowStream if self.two_step() => (512 / self.workgroup.max(1)).clamp(4, 64),
            _ => 1,
        }
    }

    /// The kernel's text: neutral WGSL, entry point `main`.
    pub fn wgsl(&self) -> String {
        let mut text = self.header(1);
        for (name, file) in self.files() {
            let _ = write!(text, "\n// ---- {name}\n{file}");
        }
        text
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.workgroup
    }

    /// Bytes of workgroup memory, as declared.
    pub fn workgroup_bytes(&self) -> u32 {
        let lane = 4 * self.lanes;
        match self.driver {
            Driver::RowStream
            | Driver::RowChip
            | Driver::RowsAndColumns
            | Driver::Partial
            | Driver::Threshold
            | Driver::CloseSlots
            | Driver::Gather => {
                let trees = 2 * self.workgroup
                    + if self.two_step() { self.workgroup } else { 1 }
                    + 2 * if self.terms.dense { self.workgroup } else { 1 }
                    + if self.argmax && self.driver != Driver::Threshold { self.workgroup } else { 1 };
                // RowLoss has eight numbers and a flag; with it the group's number is kept.
                let shared_row = match self.driver {
                    Driver::RowStream | Driver::RowChip => 9 * lane + 4,
                    Driver::RowsAndColumns => 9 * lane,
                    _ => 0,
                };
                lane * trees + shared_row
            }
            Driver::Denominator | Driver::ShareSums => 4 * self.workgroup,
            Driver::Finish | Driver::LossSums => (4 + 8 + 8) * self.workgroup,
            _ => 0,
        }
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let terms = &self.terms;
        // Others are named after no logits.
        let cells = self.driver.over_logits() || self.driver == Driver::Stitch;
        let logits = if cells { self.logits } else { Cell::F32 };
        let chip = format!("chip{}", self.chip);
        let start = format!("longtail.{}.x{}.wg{}", self.driver.name(), self.lanes, self.workgroup);
        let parts = [
            (self.driver == Driver::RowChip, chip.as_str()),
            (terms.class_scale, "scale"),
            (terms.bias, "bias"),
            (terms.mitigation, "mitigation"),
            (terms.compensation, "compensation"),
            (self.terms.two_step(), "floor"),
            (terms.gate, "gate"),
            (terms.gate_given, "given"),
            (terms.dense, "dense"),
            (terms.class_weights, "weights"),
            (self.targets == TargetKind::Mixed, "mixed"),
            (self.targets == TargetKind::Soft, "soft"),
            (self.look == Look::Raw, "raw"),
            (self.sharded, "sharded"),
            (self.of_sums, "of_sums"),
            (self.argmax, "argmax"),
            (self.writes_gradient(), "gradient"),
            (self.coefficients, "save"),
            (self.regularised, "regularised"),
        ];
        name(start, (logits, self.gradient, self.straddle), &parts, self.storage)
    }
}
