//! The text of every kernel: a generated header and whole files of `shaders/`, concatenated.
//!
//! The only module that knows what is in `shaders/`. [`KernelKey::wgsl`] is a pure function of the key, which is
//! also what the pipeline cache hashes; no float is part of it.

use crate::batch::TargetKind;
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

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Driver {
    /// Labels and per-row inputs to row fields.
    Prepare,
    /// The denominator that depends on labels.
    Denominator,
    /// Rows of any length: two passes over the logits.
    RowStream,
    /// Rows held on chip: one pass.
    RowChip,
    /// The gradient from saved coefficients.
    Backward,
    /// The gradient of learnable class scales.
    ClassScaleGradient,
    /// The reduced loss and the status.
    Finish,
    /// Adds the batch to the cumulative class counts.
    CountLabels,
    /// Logs of the cumulative class counts.
    RefreshCounts,
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
    /// Label smoothing.
    pub smoothing: bool,
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
    /// Rows per thread: 1 or 4.
    pub lanes: u32,
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Columns per thread held on chip ([`Driver::RowChip`]).
    pub chip: u32,
    /// Whether the row kernel finds the largest logit.
    pub argmax: bool,
    /// Whether the row kernel writes the gradient.
    pub gradient: bool,
    /// Whether the row kernel saves what a backward pass needs.
    pub coefficients: bool,
}

/// How a kernel uses one of its bindings in group 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A uniform buffer.
    Uniform,
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is read and written.
    ReadWrite,
}

/// One binding in group 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Its number.
    pub number: u32,
    /// Its name in the shader.
    pub name: &'static str,
    /// How it is used.
    pub access: Access,
}

/// The columns of a plan's class table, in order; the shaders find them by the header's constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Weight,
    Margin,
    Smoothing,
    ClassScale,
    Bias,
    Power,
    Tail,
}

/// The name and the text of one file.
type File = (&'static str, &'static str);

macro_rules! shader {
    ($name:literal) => {
        ($name, include_str!(concat!("../../shaders/", $name)))
    };
}

impl InnerTerms {
    /// The columns that the class table has for these terms.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let mut columns = vec![Column::Weight, Column::Margin, Column::Smoothing];
        let inner = [
            (self.class_scale, Column::ClassScale),
            (self.bias, Column::Bias),
            (self.mitigation, Column::Power),
            (self.gate, Column::Tail),
        ];
        columns.extend(inner.into_iter().filter_map(|(present, column)| present.then_some(column)));
        columns
    }

    fn column(&self, column: Column) -> usize {
        self.columns().iter().position(|&other| other == column).unwrap_or(0)
    }
}

impl KernelKey {
    /// Whether the kernel goes over the logits.
    fn over_logits(&self) -> bool {
        matches!(
            self.driver,
            Driver::RowStream | Driver::RowChip | Driver::Backward | Driver::ClassScaleGradient
        )
    }

    /// Whether soft targets or given gates are bound.
    fn dense(&self) -> bool {
        self.targets == TargetKind::Soft || self.terms.gate_given
    }

    fn writes_gradient(&self) -> bool {
        match self.driver {
            Driver::RowStream | Driver::RowChip => self.gradient,
            Driver::Backward | Driver::ClassScaleGradient => true,
            _ => false,
        }
    }

    fn has_upstream(&self) -> bool {
        matches!(self.driver, Driver::Backward | Driver::ClassScaleGradient)
    }

    /// Seesaw's floor takes a second step on chip or over the logits.
    fn two_step(&self) -> bool {
        self.terms.compensation && self.terms.floor
    }

    /// How many stretches of a thread's columns keep their own maximum, at most: the fewer the threads, the more
    /// columns each has.
    fn tiles(&self) -> u32 {
        (512 / self.workgroup.max(1)).clamp(4, 64)
    }

    /// The files after the header, in order.
    fn files(&self) -> Vec<File> {
        let mut files = vec![shader!("params.wgsl")];
        if !self.over_logits() {
            files.extend([shader!("scalar.wgsl"), shader!("prelude.wgsl")]);
            files.push(match self.driver {
                Driver::Prepare => shader!("prepare.wgsl"),
                Driver::Denominator => shader!("denominator.wgsl"),
                Driver::CountLabels => shader!("count_labels.wgsl"),
                Driver::RefreshCounts => shader!("refresh_counts.wgsl"),
                _ => shader!("finish.wgsl"),
            });
            return files;
        }
        files.push(shader!("bind_plan.wgsl"));
        let in_place = self.storage == Storage::InPlace
            && self.writes_gradient()
            && self.driver != Driver::ClassScaleGradient;
        let shared = self.storage != Storage::Separate && self.writes_gradient();
        if in_place {
            files.push(shader!("bind_in_place.wgsl"));
        } else {
            files.push(match shared {
                true => shader!("bind_logits_shared.wgsl"),
                false => shader!("bind_logits.wgsl"),
            });
            files.push(match self.writes_gradient() {
                true => shader!("bind_gradient.wgsl"),
                false => shader!("bind_no_gradient.wgsl"),
            });
        }
        files.push(match (self.dense(), shared) {
            (true, true) => shader!("bind_dense_shared.wgsl"),
            (true, false) => shader!("bind_dense.wgsl"),
            (false, _) => shader!("bind_no_dense.wgsl"),
        });
        files.push(match (self.has_upstream(), shared) {
            (true, true) => shader!("bind_upstream_shared.wgsl"),
            (true, false) => shader!("bind_upstream.wgsl"),
            (false, _) => shader!("bind_no_upstream.wgsl"),
        });
        files.push(match self.lanes {
            1 => shader!("lanes1.wgsl"),
            _ => shader!("lanes4.wgsl"),
        });
        files.extend([
            shader!("prelude.wgsl"),
            shader!("terms.wgsl"),
            shader!("row.wgsl"),
            shader!("mass.wgsl"),
            shader!("label_loss.wgsl"),
            shader!("write_row.wgsl"),
        ]);
        match self.driver {
            Driver::RowStream => files.extend([
                shader!("workgroup.wgsl"),
                shader!("close_row.wgsl"),
                shader!("row_stream.wgsl"),
            ]),
            Driver::RowChip => {
                files.extend([
                    shader!("workgroup.wgsl"),
                    shader!("close_row.wgsl"),
                    shader!("row_chip.wgsl"),
                ]);
            }
            Driver::Backward => files.push(shader!("backward.wgsl")),
            _ => files.push(shader!("class_scale_gradient.wgsl")),
        }
        files
    }

    /// The constants that make this kernel of the files.
    fn header(&self) -> String {
        let terms = &self.terms;
        let dense = self.targets == TargetKind::Soft || terms.smoothing;
        let mut text = String::from("// ---- generated header\n");
        let numbers = [
            ("WG", self.workgroup),
            ("WG_RAW", if self.two_step() { self.workgroup } else { 1 }),
            ("WG_DENSE", if dense { self.workgroup } else { 1 }),
            ("WG_INDEX", if self.argmax { self.workgroup } else { 1 }),
            ("CHIP", self.chip.max(1).next_multiple_of(4)),
            ("TILES", if self.two_step() { self.tiles() } else { 1 }),
        ];
        for (name, value) in numbers {
            let _ = write!(text, "const {name}: u32 = {value}u; ");
        }
        text.push('\n');
        let switches = [
            ("HAS_CLASS_SCALE", terms.class_scale),
            ("HAS_BIAS", terms.bias),
            ("HAS_MITIGATION", terms.mitigation),
            ("HAS_COMPENSATION", terms.compensation),
            ("TWO_STEP", self.two_step()),
            ("HAS_GATE", terms.gate),
            ("GATE_GIVEN", terms.gate_given),
            ("HAS_FACTOR", terms.mitigation || self.two_step()),
            ("HAS_DENSE", dense),
            ("HAS_CLASS_WEIGHTS", dense),
            ("SOFT_TARGETS", self.targets == TargetKind::Soft),
            ("MIXED_TARGETS", self.targets == TargetKind::Mixed),
            ("WANT_ARGMAX", self.argmax),
            ("WRITE_GRADIENT", self.gradient),
            ("WRITE_COEFFICIENTS", self.coefficients),
        ];
        for line in switches.chunks(4) {
            for (name, value) in line {
                let _ = write!(text, "const {name}: bool = {value}; ");
            }
            text.push('\n');
        }
        let columns = [
            ("COLUMN_CLASS_SCALE", Column::ClassScale),
            ("COLUMN_BIAS", Column::Bias),
            ("COLUMN_POWER", Column::Power),
            ("COLUMN_TAIL", Column::Tail),
        ];
        for (name, column) in columns {
            let _ = write!(text, "const {name}: u32 = {}u; ", terms.column(column));
        }
        text.push('\n');
        text
    }

    /// The kernel's text: neutral WGSL, entry point `main`.
    pub fn wgsl(&self) -> String {
        let mut text = self.header();
        for (name, file) in self.files() {
            let _ = write!(text, "\n// ---- {name}\n{file}");
        }
        text
    }

    /// Which file of `shaders/` a line of [`wgsl`](Self::wgsl) comes from, and the line in it.
    pub(crate) fn locate(&self, line: u32) -> (String, u32) {
        let mut file = ("the generated header", 0);
        for (number, text) in (1..).zip(self.wgsl().lines()) {
            if number > line {
                break;
            }
            file.1 += 1;
            if let Some(name) = text.strip_prefix("// ---- ") {
                let known = self.files().into_iter().map(|(known, _)| known).find(|known| *known == name);
                file = (known.unwrap_or(file.0), 0);
            }
        }
        (file.0.to_owned(), file.1)
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite, Uniform};
        let list = |items: &[(&'static str, Access)]| {
            (0..).zip(items).map(|(number, &(name, access))| Binding { number, name, access }).collect()
        };
        match self.driver {
            Driver::Prepare => {
                return list(&[
                    ("params", Uniform),
                    ("scalars", ReadWrite),
                    ("rows_out", ReadWrite),
                    ("classes", Read),
                    ("labels", Read),
                    ("second_labels", Read),
                    ("lambdas", Read),
                    ("row_weights", Read),
                    ("feature_norms", Read),
                ]);
            }
            Driver::Denominator => {
                return list(&[("params", Uniform), ("scalars", ReadWrite), ("rows_in", Read)]);
            }
            Driver::Finish => {
                return list(&[
                    ("params", Uniform),
                    ("scalars", ReadWrite),
                    ("rows_in", Read),
                    ("saved", Read),
                ]);
            }
            Driver::CountLabels => {
                return list(&[("params", Uniform), ("counts", ReadWrite), ("labels", Read)]);
            }
            Driver::RefreshCounts => {
                return list(&[("params", Uniform), ("counts", Read), ("classes", ReadWrite)]);
            }
            _ => {}
        }
        let mut bindings = list(&[
            ("params", Uniform),
            ("scalars", Read),
            ("rows_in", Read),
            ("classes", Read),
            ("saved", ReadWrite),
        ]);
        let shared = self.storage != Storage::Separate && self.writes_gradient();
        let in_place =
            shared && self.storage == Storage::InPlace && self.driver != Driver::ClassScaleGradient;
        let input = if shared { ReadWrite } else { Read };
        let mut push = |number, name, access| bindings.push(Binding { number, name, access });
        push(5, "logits", input);
        if self.writes_gradient() && !in_place {
            push(6, "gradient", ReadWrite);
        }
        if self.dense() {
            push(7, "dense", input);
        }
        if self.has_upstream() {
            push(8, "upstream", input);
        }
        bindings
    }

    /// Bytes of workgroup memory, as declared.
    pub fn workgroup_bytes(&self) -> u32 {
        let lane = 4 * self.lanes;
        let dense = self.targets == TargetKind::Soft || self.terms.smoothing;
        match self.driver {
            Driver::RowStream | Driver::RowChip => {
                let trees = 2 * self.workgroup
                    + if self.two_step() { self.workgroup } else { 1 }
                    + 2 * if dense { self.workgroup } else { 1 }
                    + if self.argmax { self.workgroup } else { 1 };
                // RowLoss has eight numbers and a flag.
                lane * trees + 9 * lane
            }
            Driver::Denominator => 4 * self.workgroup,
            Driver::Finish => (4 + 8 + 8) * self.workgroup,
            _ => 0,
        }
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let terms = &self.terms;
        let driver = match self.driver {
            Driver::Prepare => "prepare",
            Driver::Denominator => "denominator",
            Driver::RowStream => "row_stream",
            Driver::RowChip => "row_chip",
            Driver::Backward => "backward",
            Driver::ClassScaleGradient => "class_scale_gradient",
            Driver::Finish => "finish",
            Driver::CountLabels => "count_labels",
            Driver::RefreshCounts => "refresh_counts",
        };
        let mut label = format!("longtail.{driver}.x{}.wg{}", self.lanes, self.workgroup);
        let parts = [
            (self.driver == Driver::RowChip, format!("chip{}", self.chip)),
            (terms.class_scale, "scale".into()),
            (terms.bias, "bias".into()),
            (terms.mitigation, "mitigation".into()),
            (terms.compensation, "compensation".into()),
            (self.two_step(), "floor".into()),
            (terms.gate, "gate".into()),
            (terms.gate_given, "given".into()),
            (terms.smoothing, "smoothing".into()),
            (self.targets == TargetKind::Mixed, "mixed".into()),
            (self.targets == TargetKind::Soft, "soft".into()),
            (self.argmax, "argmax".into()),
            (self.writes_gradient(), "gradient".into()),
            (self.coefficients, "save".into()),
            (self.storage == Storage::Shared, "shared".into()),
            (self.storage == Storage::InPlace, "in_place".into()),
        ];
        for (present, part) in parts {
            if present {
                label.push('.');
                label.push_str(&part);
            }
        }
        label
    }
}
