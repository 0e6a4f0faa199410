//! The kernels of distillation.

use crate::batch::TargetKind;
use crate::element::Element;
use crate::gpu::shader::{Access, Binding, Cell, File, Matrices, Storage, name, shader, text};
use crate::gpu::walk::saved_extra;

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DistillationDriver {
    /// The divergences of rows.
    Rows,
    /// The gradient, from what the rows' kernel has left.
    Gradient,
}

/// Everything that a kernel's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DistillationKey {
    /// Which kernel.
    pub driver: DistillationDriver,
    /// Which targets; only the rows' kernel looks at labels.
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
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Whether there are experts, or one teacher for all classes.
    pub experts: bool,
    /// Whether the rows' kernel finds the largest logit.
    pub argmax: bool,
    /// Whether the gradient is added to what is there.
    pub adds: bool,
}

impl DistillationKey {
    fn writes(&self) -> bool {
        self.driver == DistillationDriver::Gradient
    }

    pub(super) fn matrices(&self) -> Matrices {
        Matrices {
            storage: self.storage,
            logits: Some(self.logits),
            gradient: self.writes().then_some(self.gradient),
            may_replace: true,
            straddle: self.straddle,
            walks: self.writes(),
            lanes: 1,
            dense: false,
            upstream: self.writes(),
        }
    }

    /// The kernel's text: neutral WGSL, entry point `main`.
    pub fn wgsl(&self) -> String {
        let matrices = self.matrices();
        let mut files: Vec<File> = vec![
            shader!("window.wgsl"),
            shader!("fields.wgsl"),
            shader!("softmax_fields.wgsl"),
            shader!("bind_plan.wgsl"),
        ];
        matrices.push_files(&mut files);
        files.extend([
            shader!("prelude.wgsl"),
            shader!("walk/row.wgsl"),
            shader!("distillation/numbers.wgsl"),
        ]);
        files.push(match matrices.shared() {
            true => shader!("distillation/bind_teacher_shared.wgsl"),
            false => shader!("distillation/bind_teacher.wgsl"),
        });
        files.push(match self.teacher {
            Element::F32 => shader!("distillation/teacher_whole.wgsl"),
            Element::F16 => shader!("distillation/teacher_f16.wgsl"),
            Element::Bf16 => shader!("distillation/teacher_bf16.wgsl"),
        });
        match self.driver {
            DistillationDriver::Rows => files.push(shader!("distillation/rows.wgsl")),
            DistillationDriver::Gradient => {
                matrices.push_old(&mut files, self.adds);
                files.extend([shader!("distillation/gradient.wgsl"), shader!("walk/gradient.wgsl")]);
            }
        }
        let numbers = [("WG", u64::from(self.workgroup)), ("SAVED_EXTRA", saved_extra(self.gradient))];
        let switches = [
            ("EXPERTS", self.experts),
            ("WANT_ARGMAX", self.argmax),
            ("ADDS", self.adds),
            ("SOFT_TARGETS", self.targets == TargetKind::Soft),
            ("MIXED_TARGETS", self.targets == TargetKind::Mixed),
        ];
        text(Some(&matrices), &numbers, &switches, &files)
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        let mut bindings = vec![
            Binding { number: 0, name: "window", access: Access::Uniform },
            Binding { number: 1, name: "scalars", access: Access::Read },
            Binding { number: 2, name: "rows_in", access: Access::Read },
            Binding { number: 3, name: "classes", access: Access::Read },
            Binding { number: 4, name: "saved", access: Access::ReadWrite },
        ];
        let matrices = self.matrices();
        matrices.push_bindings(&mut bindings);
        let access = if matrices.shared() { Access::ReadWrite } else { Access::Read };
        bindings.push(Binding { number: 7, name: "teacher", access });
        if self.driver == DistillationDriver::Rows {
            bindings.push(Binding { number: 9, name: "row_weights", access: Access::Read });
        }
        bindings.push(Binding { number: 10, name: "numbers", access: Access::Uniform });
        bindings.sort_by_key(|binding| binding.number);
        bindings
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.workgroup
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> u32 {
        match self.driver {
            DistillationDriver::Rows => (24 + 12) * self.workgroup,
            DistillationDriver::Gradient => 0,
        }
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        self.matrices().features()
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let driver = match self.driver {
            DistillationDriver::Rows => "rows",
            DistillationDriver::Gradient => "gradient",
        };
        let start = format!("longtail.distillation.{driver}.wg{}", self.workgroup);
        let parts = [
            (self.teacher == Element::F16, "teacher_f16"),
            (self.teacher == Element::Bf16, "teacher_bf16"),
            (self.experts, "experts"),
            (self.targets == TargetKind::Mixed, "mixed"),
            (self.targets == TargetKind::Soft, "soft"),
            (self.argmax, "argmax"),
            (self.adds, "adds"),
        ];
        name(start, (self.logits, self.gradient, self.straddle), &parts, self.storage)
    }
}
