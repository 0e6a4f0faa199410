//! How a kernel over rows reaches the caller's matrices: the same files, bindings and constants for every family.

use super::bindings::{Access, Binding};
use super::files::{File, shader};
use super::{Cell, Storage};
use std::fmt::Write as _;

/// The matrices of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Matrices {
    pub storage: Storage,
    /// How logits are read; `None` for a kernel that reads none.
    pub logits: Option<Cell>,
    /// How the gradient, or something else in its place, is written; `None` for a kernel that writes none.
    pub gradient: Option<Cell>,
    /// Whether what is written may take the logits' place.
    pub may_replace: bool,
    /// Whether pairs of logits may lie across two words.
    pub straddle: bool,
    /// Whether threads walk along rows in blocks of columns.
    pub walks: bool,
    /// Rows per thread: 1 or 4.
    pub lanes: u32,
    /// Whether a dense f32 matrix of targets or gates is bound.
    pub dense: bool,
    /// Whether an upstream gradient is bound.
    pub upstream: bool,
}

impl Matrices {
    /// Whether the gradient takes the logits' binding.
    pub(crate) fn in_place(&self) -> bool {
        self.storage == Storage::InPlace && self.gradient.is_some() && self.may_replace
    }

    /// Whether what is read is bound as writable, because it may share a buffer with what is written.
    pub(crate) fn shared(&self) -> bool {
        self.storage != Storage::Separate && self.gradient.is_some()
    }

    fn reads(&self, cell: Cell) -> bool {
        self.logits == Some(cell)
    }

    fn writes(&self, cell: Cell) -> bool {
        self.gradient == Some(cell)
    }

    /// Whether pairs of columns follow the words of the gradient, not those of the logits.
    pub(crate) fn pairs_follow_gradient(&self) -> bool {
        self.gradient.is_some_and(Cell::packed)
    }

    /// Columns that a thread takes in one step: 2 where two elements share a word.
    pub(crate) fn width(&self) -> u32 {
        let packed = self.logits.is_some_and(Cell::packed) || self.pairs_follow_gradient();
        if self.walks && packed { 2 } else { 1 }
    }

    /// The features that the device must have.
    pub(crate) fn features(&self) -> wgpu::Features {
        match self.reads(Cell::NativeF16) || self.writes(Cell::NativeF16) {
            true => wgpu::Features::SHADER_F16,
            false => wgpu::Features::empty(),
        }
    }

    /// The lines of the header that come before every other.
    pub(crate) fn write_types(&self, text: &mut String) {
        if !self.features().is_empty() {
            text.push_str("enable f16;\n");
        }
        if let Some(cell) = self.logits {
            let _ = writeln!(text, "alias LogitWord = {};", cell.word());
        }
        if let Some(cell) = self.gradient {
            let _ = writeln!(text, "alias GradientWord = {};", cell.word());
        }
    }

    /// The header's switches.
    pub(crate) fn switches(&self) -> [(&'static str, bool); 4] {
        [
            ("LOGITS_PACKED", self.logits.is_some_and(Cell::packed)),
            ("LOGITS_STRADDLE", self.straddle),
            ("GRADIENT_PACKED", self.pairs_follow_gradient()),
            ("PAIRS_FOLLOW_GRADIENT", self.pairs_follow_gradient()),
        ]
    }

    /// Bindings, elements, rows of a thread and columns of a row.
    pub(crate) fn push_files(&self, files: &mut Vec<File>) {
        if self.writes(Cell::PackedF16) {
            files.extend([shader!("half.wgsl"), shader!("packed_f16.wgsl")]);
        }
        if self.reads(Cell::PackedBf16) || self.writes(Cell::PackedBf16) {
            files.push(shader!("packed_bf16.wgsl"));
        }
        self.push_logits(files);
        self.push_gradient(files);
        files.push(match (self.dense, self.shared()) {
            (true, true) => shader!("bind_dense_shared.wgsl"),
            (true, false) => shader!("bind_dense.wgsl"),
            (false, _) => shader!("bind_no_dense.wgsl"),
        });
        files.push(match (self.upstream, self.shared()) {
            (true, true) => shader!("bind_upstream_shared.wgsl"),
            (true, false) => shader!("bind_upstream.wgsl"),
            (false, _) => shader!("bind_no_upstream.wgsl"),
        });
        files.push(match self.lanes {
            1 => shader!("lanes1.wgsl"),
            _ => shader!("lanes4.wgsl"),
        });
        files.push(shader!("columns.wgsl"));
        files.push(match self.width() {
            1 => shader!("columns1.wgsl"),
            _ => shader!("columns2.wgsl"),
        });
    }

    /// The logits' elements alone, for kernels that do not walk along rows.
    pub(crate) fn push_reading(&self, files: &mut Vec<File>) {
        if self.reads(Cell::PackedBf16) {
            files.push(shader!("packed_bf16.wgsl"));
        }
        self.push_logits(files);
    }

    /// What the gradient's buffer holds, for kernels that add to it.
    pub(crate) fn push_old(&self, files: &mut Vec<File>, adds: bool) {
        files.push(match self.gradient.filter(|_| adds) {
            None => shader!("walk/old_none.wgsl"),
            Some(Cell::F32 | Cell::NativeF16) => shader!("walk/old_whole.wgsl"),
            Some(Cell::PackedF16) => shader!("walk/old_f16.wgsl"),
            Some(Cell::PackedBf16) => shader!("walk/old_bf16.wgsl"),
        });
        files.push(match self.lanes {
            1 => shader!("walk/old_lanes1.wgsl"),
            _ => shader!("walk/old_lanes4.wgsl"),
        });
    }

    fn push_logits(&self, files: &mut Vec<File>) {
        let Some(cell) = self.logits else {
            files.push(shader!("no_logits.wgsl"));
            return;
        };
        if !self.in_place() {
            files.push(match self.shared() {
                true => shader!("bind_logits_shared.wgsl"),
                false => shader!("bind_logits.wgsl"),
            });
        }
        match cell {
            Cell::F32 | Cell::NativeF16 => files.push(shader!("logits_whole.wgsl")),
            Cell::PackedF16 => files.extend([shader!("logits_f16.wgsl"), shader!("logits_packed.wgsl")]),
            Cell::PackedBf16 => files.extend([shader!("logits_bf16.wgsl"), shader!("logits_packed.wgsl")]),
        }
    }

    fn push_gradient(&self, files: &mut Vec<File>) {
        let Some(cell) = self.gradient else {
            files.push(shader!("no_gradient.wgsl"));
            return;
        };
        files.push(self.gradient_binding());
        match cell {
            Cell::F32 => files.push(shader!("gradient_whole.wgsl")),
            Cell::NativeF16 => files.extend([shader!("half.wgsl"), shader!("gradient_f16.wgsl")]),
            Cell::PackedF16 => files.extend([shader!("pack_f16.wgsl"), shader!("gradient_packed.wgsl")]),
            Cell::PackedBf16 => files.extend([shader!("pack_bf16.wgsl"), shader!("gradient_packed.wgsl")]),
        }
    }

    /// The file that binds the gradient.
    pub(crate) fn gradient_binding(&self) -> File {
        match self.in_place() {
            true => shader!("bind_in_place.wgsl"),
            false => shader!("bind_gradient.wgsl"),
        }
    }

    /// Bindings 5 to 8.
    pub(crate) fn push_bindings(&self, bindings: &mut Vec<Binding>) {
        let input = if self.shared() { Access::ReadWrite } else { Access::Read };
        let mut push = |number, name, access| bindings.push(Binding { number, name, access });
        if self.logits.is_some() || self.in_place() {
            push(5, "logits", input);
        }
        if self.gradient.is_some() && !self.in_place() {
            push(6, "gradient", Access::ReadWrite);
        }
        if self.dense {
            push(7, "dense", input);
        }
        if self.upstream {
            push(8, "upstream", input);
        }
    }
}
