//! The kernels of LADE's regulariser.

use crate::gpu::shader::{Access, Binding, Cell, File, Matrices, Storage, name, shader, text};
use crate::gpu::walk::saved_extra;

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LadeDriver {
    /// The rows' results.
    OpenRows,
    /// The same with the largest logit, of rows that are read for it.
    Rows,
    /// What a window's rows add to each column.
    Columns,
    /// The regulariser, and what the gradient is made of.
    Close,
    /// The gradient.
    Gradient,
}

/// Threads of a workgroup of [`LadeDriver::Columns`] that lie side by side, four columns each; the others have further rows.
pub(super) const QUADS: u32 = 8;

/// Everything that a kernel's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LadeKey {
    /// Which kernel.
    pub driver: LadeDriver,
    /// How buffers are bound.
    pub storage: Storage,
    /// How logits are read.
    pub logits: Cell,
    /// How the gradient is written.
    pub gradient: Cell,
    /// Whether pairs of logits may lie across two words.
    pub straddle: bool,
    /// Rows per thread that the gradient is written for: 1 or 4.
    pub lanes: u32,
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Whether the gradient is added to what is there.
    pub adds: bool,
    /// Whether the rows' kernel has left parts of the columns ([`LadeDriver::Columns`]).
    pub of_parts: bool,
}

impl LadeKey {
    /// A key of one of the kernels that do not write the gradient.
    pub(crate) fn reading(driver: LadeDriver, logits: Cell, gradient: Cell, workgroup: u32) -> Self {
        Self {
            driver,
            storage: Storage::Separate,
            logits: if matches!(driver, LadeDriver::Rows | LadeDriver::Columns) { logits } else { Cell::F32 },
            gradient: if driver == LadeDriver::Rows { gradient } else { Cell::F32 },
            straddle: false,
            lanes: 1,
            workgroup,
            adds: false,
            of_parts: false,
        }
    }

    fn reads_logits(&self) -> bool {
        matches!(self.driver, LadeDriver::Rows | LadeDriver::Columns | LadeDriver::Gradient)
    }

    /// Whether the kernel looks at the regulariser's numbers.
    fn reads_table(&self) -> bool {
        !matches!(self.driver, LadeDriver::OpenRows | LadeDriver::Rows)
    }

    fn writes(&self) -> bool {
        self.driver == LadeDriver::Gradient
    }

    fn matrices(&self) -> Matrices {
        Matrices {
            storage: self.storage,
            logits: self.reads_logits().then_some(self.logits),
            gradient: self.writes().then_some(self.gradient),
            may_replace: true,
            straddle: self.straddle,
            walks: self.writes(),
            lanes: self.lanes,
            dense: false,
            upstream: self.writes(),
        }
    }

    /// The kernel's text: neutral WGSL, entry point `main`.
    pub fn wgsl(&self) -> String {
        let matrices = self.matrices();
        let mut files: Vec<File> = vec![shader!("window.wgsl"), shader!("fields.wgsl")];
        match self.driver {
            LadeDriver::OpenRows => files.extend([
                shader!("softmax_fields.wgsl"),
                shader!("scalar.wgsl"),
                shader!("prelude.wgsl"),
                shader!("lade/open_rows.wgsl"),
            ]),
            LadeDriver::Columns | LadeDriver::Close => {
                files.extend([shader!("scalar.wgsl"), shader!("prelude.wgsl")]);
            }
            LadeDriver::Rows | LadeDriver::Gradient => {
                files.extend([shader!("softmax_fields.wgsl"), shader!("bind_plan.wgsl")]);
                matrices.push_files(&mut files);
                files.extend([shader!("prelude.wgsl"), shader!("walk/row.wgsl")]);
            }
        }
        if self.reads_table() {
            files.extend([shader!("lade/numbers.wgsl"), shader!("lade/table.wgsl")]);
        }
        match self.driver {
            LadeDriver::OpenRows => {}
            LadeDriver::Rows => files.push(shader!("lade/rows.wgsl")),
            LadeDriver::Columns => {
                matrices.push_reading(&mut files);
                files.push(match self.of_parts {
                    true => shader!("lade/columns_of_parts.wgsl"),
                    false => shader!("lade/columns_of_logits.wgsl"),
                });
                files.extend([shader!("lade/set_table.wgsl"), shader!("lade/columns.wgsl")]);
            }
            LadeDriver::Close => files.extend([shader!("lade/set_table.wgsl"), shader!("lade/close.wgsl")]),
            LadeDriver::Gradient => {
                matrices.push_old(&mut files, self.adds);
                files.extend([
                    shader!("lade/term.wgsl"),
                    shader!("lade/gradient.wgsl"),
                    shader!("walk/each.wgsl"),
                    shader!("walk/gradient.wgsl"),
                ]);
            }
        }
        let numbers = [
            ("WG", u64::from(self.workgroup)),
            ("SAVED_EXTRA", saved_extra(self.gradient)),
            ("QUADS", u64::from(QUADS)),
        ];
        text(Some(&matrices), &numbers, &[("ADDS", self.adds)], &files)
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite};
        let mut bindings = vec![Binding { number: 0, name: "window", access: Access::Uniform }];
        let mut push = |number, name, access| bindings.push(Binding { number, name, access });
        match self.driver {
            LadeDriver::OpenRows => {
                push(2, "rows_in", Read);
                push(4, "saved", ReadWrite);
            }
            LadeDriver::Columns => {
                push(2, "rows_in", Read);
                push(3, "classes", ReadWrite);
                match self.of_parts {
                    true => push(9, "column_parts", Read),
                    false => push(4, "saved", ReadWrite),
                }
            }
            LadeDriver::Close => {
                push(1, "scalars", ReadWrite);
                push(3, "classes", ReadWrite);
            }
            LadeDriver::Rows | LadeDriver::Gradient => {
                push(1, "scalars", Read);
                push(2, "rows_in", Read);
                push(3, "classes", Read);
                push(4, "saved", ReadWrite);
            }
        }
        self.matrices().push_bindings(&mut bindings);
        if self.reads_table() {
            bindings.push(Binding { number: 10, name: "numbers", access: Access::Uniform });
        }
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
            LadeDriver::Rows => 12 * self.workgroup,
            // Four columns' numbers, and the rows that count: 68 bytes, by sixteens.
            LadeDriver::Columns => 80 * self.workgroup,
            LadeDriver::Close => 4 * self.workgroup,
            LadeDriver::OpenRows | LadeDriver::Gradient => 0,
        }
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        self.matrices().features()
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let driver = match self.driver {
            LadeDriver::OpenRows => "open_rows",
            LadeDriver::Rows => "rows",
            LadeDriver::Columns => "columns",
            LadeDriver::Close => "close",
            LadeDriver::Gradient => "gradient",
        };
        let start = format!("longtail.lade.{driver}.wg{}", self.workgroup);
        let parts = [(self.lanes > 1, "x4"), (self.adds, "adds"), (self.of_parts, "parts")];
        name(start, (self.logits, self.gradient, self.straddle), &parts, self.storage)
    }
}
