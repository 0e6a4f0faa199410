//! The kernels of distillation.

use super::text;
use crate::batch::TargetKind;
use crate::element::Element;
use crate::gpu::shader::{Access, Binding, Cell, InnerTerms, Matrices, SAVED_COEFFICIENTS, Storage, name};
use crate::gpu::walk::saved_extra;

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DistillationDriver {
    /// Sums of rows that count, of many rows.
    KeptSums,
    /// The divergence's denominator, beside the base's.
    Kept,
    /// The losses of rows.
    Rows,
    /// Sums for the reduced loss of two parts, of many rows.
    LossSums,
    /// The reduced loss of two parts, and the status.
    Finish,
    /// The gradient, from what the rows' kernel has left.
    Gradient,
}

/// Everything that a kernel's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DistillationKey {
    /// Which kernel.
    pub driver: DistillationDriver,
    /// Which targets; with a base the gradient's kernel looks at labels, too.
    pub targets: TargetKind,
    /// How buffers are bound.
    pub storage: Storage,
    /// How logits are read.
    pub logits: Cell,
    /// How the gradient is written.
    pub gradient: Cell,
    /// What the teacher's logits are.
    pub teacher: Element,
    /// Whether pairs of logits may lie across two words.
    pub straddle: bool,
    /// Whether pairs of columns are whole words of the teacher's as well.
    pub teacher_pairs: bool,
    /// Rows per thread: 1 or 4.
    pub lanes: u32,
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Whether there are experts, or one teacher for all classes.
    pub experts: bool,
    /// The terms of a base that goes along in the same passes.
    pub base: Option<InnerTerms>,
    /// Whether the rows' kernel finds the largest logit.
    pub argmax: bool,
    /// Whether the gradient is added to what is there.
    pub adds: bool,
    /// Whether sums are of sums instead of rows ([`DistillationDriver::Kept`], [`DistillationDriver::Finish`]).
    pub of_sums: bool,
}

impl DistillationKey {
    /// Whether the kernel walks along rows; the others look at fields of rows.
    pub(super) fn over_logits(&self) -> bool {
        matches!(self.driver, DistillationDriver::Rows | DistillationDriver::Gradient)
    }

    fn writes(&self) -> bool {
        self.driver == DistillationDriver::Gradient
    }

    /// The first field of `saved` after the base's and the row's part of the reduced loss.
    pub(super) fn saved_own(&self) -> u64 {
        saved_extra(self.gradient) + if self.base.is_some() { SAVED_COEFFICIENTS + 1 } else { 0 }
    }

    /// Whether soft targets or given gates of a base are bound.
    fn binds_dense(&self) -> bool {
        self.base.is_some_and(|terms| terms.binds_dense(self.targets))
    }

    /// Whether a kernel over logits reads the scalars: the gradient's only draws by them, and with a dense matrix, which no
    /// draws go with, it has no binding to spare.
    pub(super) fn binds_scalars(&self) -> bool {
        !(self.writes() && self.binds_dense())
    }

    pub(super) fn matrices(&self) -> Matrices {
        Matrices {
            storage: self.storage,
            logits: Some(self.logits),
            gradient: self.writes().then_some(self.gradient),
            may_replace: true,
            straddle: self.straddle,
            walks: true,
            lanes: self.lanes,
            dense: self.binds_dense(),
            upstream: self.writes(),
        }
    }

    /// The kernel's text: neutral WGSL, entry point `main`.
    pub fn wgsl(&self) -> String {
        text::of(self)
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        let mut bindings = Vec::new();
        let mut push = |number, name, access| bindings.push(Binding { number, name, access });
        push(0, "window", Access::Uniform);
        match self.driver {
            DistillationDriver::Rows | DistillationDriver::Gradient => return self.bindings_over_logits(),
            _ => push(1, "scalars", Access::ReadWrite),
        }
        let losses = matches!(self.driver, DistillationDriver::LossSums | DistillationDriver::Finish);
        if !self.of_sums {
            push(2, "rows_in", Access::Read);
            if losses {
                push(3, "saved", Access::Read);
            }
        }
        match self.driver {
            DistillationDriver::KeptSums | DistillationDriver::LossSums => {
                push(9, "sums", Access::ReadWrite);
            }
            _ if self.of_sums => push(9, "sums", Access::Read),
            _ => {}
        }
        bindings
    }

    fn bindings_over_logits(&self) -> Vec<Binding> {
        let mut bindings = vec![
            Binding { number: 0, name: "window", access: Access::Uniform },
            Binding { number: 2, name: "rows_in", access: Access::Read },
            Binding { number: 3, name: "classes", access: Access::Read },
            Binding { number: 4, name: "saved", access: Access::ReadWrite },
        ];
        if self.binds_scalars() {
            bindings.push(Binding { number: 1, name: "scalars", access: Access::Read });
        }
        let matrices = self.matrices();
        matrices.push_bindings(&mut bindings);
        let access = if matrices.shared() { Access::ReadWrite } else { Access::Read };
        bindings.push(Binding { number: 12, name: "teacher", access });
        if self.driver == DistillationDriver::Rows {
            bindings.push(Binding { number: 9, name: "row_weights", access: Access::Read });
        }
        if self.base.is_some() {
            bindings.push(Binding { number: 10, name: "spec", access: Access::Uniform });
        }
        bindings.push(Binding { number: 11, name: "numbers", access: Access::Uniform });
        bindings.sort_by_key(|binding| binding.number);
        bindings
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.workgroup
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> u32 {
        // A match has six numbers, what else is gathered three and those of the base: its mass and the largest u.
        let base = if self.base.is_some() { 6 } else { 1 };
        let words = match self.driver {
            DistillationDriver::KeptSums | DistillationDriver::Kept => 1,
            DistillationDriver::LossSums | DistillationDriver::Finish => 5,
            DistillationDriver::Rows => 6 + 3 + base,
            DistillationDriver::Gradient => 0,
        };
        4 * words * self.lanes * self.workgroup
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        match self.over_logits() {
            true => self.matrices().features(),
            false => wgpu::Features::empty(),
        }
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let driver = match self.driver {
            DistillationDriver::KeptSums => "kept_sums",
            DistillationDriver::Kept => "kept",
            DistillationDriver::Rows => "rows",
            DistillationDriver::LossSums => "loss_sums",
            DistillationDriver::Finish => "finish",
            DistillationDriver::Gradient => "gradient",
        };
        let start = format!("longtail.distillation.{driver}.x{}.wg{}", self.lanes, self.workgroup);
        let terms = self.base.unwrap_or_default();
        let parts = [
            (self.teacher == Element::F16, "teacher_f16"),
            (self.teacher == Element::Bf16, "teacher_bf16"),
            (self.teacher_pairs, "teacher_pairs"),
            (self.experts, "experts"),
            (self.base.is_some(), "base"),
            (terms.class_scale, "scale"),
            (terms.bias, "bias"),
            (terms.mitigation, "mitigation"),
            (terms.compensation, "compensation"),
            (terms.two_step(), "floor"),
            (terms.gate, "gate"),
            (terms.gate_given, "given"),
            (terms.dense, "dense"),
            (terms.class_weights, "weights"),
            (self.targets == TargetKind::Mixed, "mixed"),
            (self.targets == TargetKind::Soft, "soft"),
            (self.of_sums, "of_sums"),
            (self.argmax, "argmax"),
            (self.adds, "adds"),
        ];
        name(start, (self.logits, self.gradient, self.straddle), &parts, self.storage)
    }
}
