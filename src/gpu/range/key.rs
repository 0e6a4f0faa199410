//! The kernels of range loss.

use crate::gpu::shader::{Access, Binding, Cell, File, Matrices, Storage, name, shader, text};
use crate::gpu::walk::saved_extra;

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RangeDriver {
    /// The rows of each class.
    Group,
    /// The largest distances of each class, and the nearest centre.
    Pairs,
    /// The loss, and the two nearest centres.
    Close,
    /// The gradient.
    Gradient,
}

/// Everything that a kernel's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RangeKey {
    /// Which kernel.
    pub driver: RangeDriver,
    /// How buffers are bound.
    pub storage: Storage,
    /// How features are read.
    pub logits: Cell,
    /// How the gradient is written.
    pub gradient: Cell,
    /// Whether pairs of features may lie across two words.
    pub straddle: bool,
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Whether the gradient is added to what is there.
    pub adds: bool,
}

impl RangeKey {
    fn writes(&self) -> bool {
        self.driver == RangeDriver::Gradient
    }

    fn matrices(&self) -> Matrices {
        Matrices {
            storage: self.storage,
            logits: matches!(self.driver, RangeDriver::Pairs | RangeDriver::Gradient).then_some(self.logits),
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
        let mut files: Vec<File> = vec![shader!("window.wgsl"), shader!("fields.wgsl")];
        match self.driver {
            RangeDriver::Gradient => {
                files.push(shader!("bind_plan.wgsl"));
                matrices.push_files(&mut files);
                files.extend([shader!("prelude.wgsl"), shader!("walk/row.wgsl")]);
            }
            _ => files.extend([shader!("scalar.wgsl"), shader!("prelude.wgsl")]),
        }
        files.push(shader!("range/numbers.wgsl"));
        match self.driver {
            RangeDriver::Group => files.push(shader!("range/group.wgsl")),
            RangeDriver::Pairs => {
                matrices.push_reading(&mut files);
                files.extend([shader!("range/features.wgsl"), shader!("range/pairs.wgsl")]);
            }
            RangeDriver::Close => files.push(shader!("range/close.wgsl")),
            RangeDriver::Gradient => {
                matrices.push_old(&mut files, self.adds);
                files.extend([
                    shader!("range/features.wgsl"),
                    shader!("range/gradient.wgsl"),
                    shader!("walk/each.wgsl"),
                    shader!("walk/gradient.wgsl"),
                ]);
            }
        }
        let numbers = [("WG", u64::from(self.workgroup)), ("SAVED_EXTRA", saved_extra(self.gradient))];
        text(Some(&matrices), &numbers, &[("ADDS", self.adds)], &files)
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite};
        let mut bindings = vec![Binding { number: 0, name: "window", access: Access::Uniform }];
        let mut push = |number, name, access| bindings.push(Binding { number, name, access });
        match self.driver {
            RangeDriver::Group => {
                push(2, "rows_out", ReadWrite);
                push(4, "saved", ReadWrite);
                push(5, "labels", Read);
            }
            RangeDriver::Pairs => push(4, "saved", ReadWrite),
            RangeDriver::Close => {
                push(1, "scalars", ReadWrite);
                push(4, "saved", ReadWrite);
            }
            RangeDriver::Gradient => {
                push(1, "scalars", Read);
                push(2, "rows_in", Read);
                push(3, "classes", Read);
                push(4, "saved", ReadWrite);
            }
        }
        self.matrices().push_bindings(&mut bindings);
        bindings.push(Binding { number: 10, name: "numbers", access: Access::Uniform });
        bindings
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.workgroup
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> u32 {
        match self.driver {
            RangeDriver::Pairs => (12 + 8) * self.workgroup,
            RangeDriver::Close => (4 + 16) * self.workgroup,
            RangeDriver::Group | RangeDriver::Gradient => 0,
        }
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        self.matrices().features()
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let driver = match self.driver {
            RangeDriver::Group => "group",
            RangeDriver::Pairs => "pairs",
            RangeDriver::Close => "close",
            RangeDriver::Gradient => "gradient",
        };
        let start = format!("longtail.range.{driver}.wg{}", self.workgroup);
        let parts = [(self.adds, "adds")];
        name(start, (self.logits, self.gradient, self.straddle), &parts, self.storage)
    }
}
