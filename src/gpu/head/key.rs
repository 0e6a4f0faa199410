//! The text of a head's kernels: a generated header and whole files of `shaders/head/` and `shaders/matmul/`.
//!
//! The only module that knows what is in `shaders/head/`. [`HeadKey::wgsl`] is a pure function of the key.

use std::fmt::Write as _;

use crate::gpu::matmul::{MatmulKernel, MatmulKey, Tile, Words};
use crate::gpu::shader::{Access, Binding};
use crate::head::{Beyond, ClassScale};

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadKernel {
    /// From products to logits.
    Logits,
    /// Sums over rows for each class.
    Columns,
    /// The weights' factors times the classes' learned scales.
    ScaledFactors,
    /// Features that no factor can express.
    MovedRows,
    /// From a product to the features' gradient.
    CloseFeatures,
    /// From a product to the weights' gradient.
    CloseWeights,
    /// The gradients of biases and scales.
    CloseClasses,
    /// The largest logits of each row.
    Top,
    /// A running mean of features.
    RunningMean,
    /// Sums of each class's features.
    ClassSums,
    /// Means of each class's features.
    ClassMeans,
}

impl HeadKernel {
    /// Every kernel.
    pub const ALL: [HeadKernel; 11] = [
        HeadKernel::Logits,
        HeadKernel::Columns,
        HeadKernel::ScaledFactors,
        HeadKernel::MovedRows,
        HeadKernel::CloseFeatures,
        HeadKernel::CloseWeights,
        HeadKernel::CloseClasses,
        HeadKernel::Top,
        HeadKernel::RunningMean,
        HeadKernel::ClassSums,
        HeadKernel::ClassMeans,
    ];

    fn name(self) -> &'static str {
        match self {
            HeadKernel::Logits => "logits",
            HeadKernel::Columns => "columns",
            HeadKernel::ScaledFactors => "scaled_factors",
            HeadKernel::MovedRows => "moved_rows",
            HeadKernel::CloseFeatures => "close_features",
            HeadKernel::CloseWeights => "close_weights",
            HeadKernel::CloseClasses => "close_classes",
            HeadKernel::Top => "top",
            HeadKernel::RunningMean => "running_mean",
            HeadKernel::ClassSums => "class_sums",
            HeadKernel::ClassMeans => "class_means",
        }
    }
}

/// The label's margin as far as the text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MarginKind {
    /// There is none.
    #[default]
    None,
    /// In the cosine.
    Cosine,
    /// In the angle.
    Angle {
        /// What it is beyond pi.
        beyond: Beyond,
        /// Whether its derivative is 1.
        straight_through: bool,
    },
}

/// The terms of a head as far as the text goes. What a kernel has no use for is at its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HeadTerms {
    /// Whether classes have biases.
    pub bias: bool,
    /// Whether classes have scales, and what they multiply.
    pub class_scale: ClassScale,
    /// Whether the similarity is a distance.
    pub distance: bool,
    /// The label's margin.
    pub margin: MarginKind,
    /// Whether features are centred.
    pub centred: bool,
    /// Whether a direction's effect is taken out.
    pub effect: bool,
    /// Whether something is subtracted from the logits at test time.
    pub adjustment: bool,
    /// Whether features have factors that normalise them.
    pub normalised: bool,
    /// Whether sums over rows for each class have been made.
    pub columns: bool,
    /// Which gradients are asked for: biases, class scales, scale.
    pub outputs: [bool; 3],
}

/// Everything that a head's kernel's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadKey {
    /// Which kernel.
    pub kernel: HeadKernel,
    /// The head's terms.
    pub terms: HeadTerms,
    /// How rows are read.
    pub a: Words,
    /// How gradients by rows are read and written.
    pub c: Words,
    /// Whether what the caller brings may share a buffer with what is written.
    pub shared: bool,
    /// Threads in a workgroup, a power of two.
    pub workgroup: u32,
    /// Threads that share the rows of a class, a power of two; 1 where nothing is shared.
    pub lanes: u32,
}

/// The most classes that a row can be asked for, as `top.wgsl` has it.
pub(super) const MOST_TOP: u32 = 64;

/// The name and the text of one file.
type File = (&'static str, &'static str);

macro_rules! shader {
    ($name:literal) => {
        (concat!("head/", $name), include_str!(concat!("../../../shaders/head/", $name)))
    };
}

macro_rules! row_shader {
    ($name:literal) => {
        (concat!("matmul/", $name), include_str!(concat!("../../../shaders/matmul/", $name)))
    };
}

impl HeadTerms {
    /// What of the terms a kernel's text depends on.
    fn of(self, kernel: HeadKernel) -> Self {
        let Self {
            bias,
            class_scale,
            distance,
            margin,
            centred,
            effect,
            adjustment,
            normalised,
            columns,
            outputs,
        } = self;
        let none = Self::default();
        match kernel {
            HeadKernel::Logits => Self { bias, class_scale, distance, margin, ..none },
            HeadKernel::Columns => Self { distance, margin, ..none },
            // What the scales multiply is of no interest here.
            HeadKernel::ScaledFactors => Self { class_scale: ClassScale::Weights, ..none },
            HeadKernel::MovedRows => Self { centred, effect, ..none },
            HeadKernel::CloseFeatures => Self { class_scale: none.class_scale, distance, ..none }
                .with_weights_scale(distance && class_scale != ClassScale::None),
            HeadKernel::CloseWeights => {
                Self { distance, columns, ..none }.with_weights_scale(class_scale != ClassScale::None)
            }
            HeadKernel::CloseClasses => Self { bias, class_scale, outputs, ..none },
            HeadKernel::Top => Self { bias, class_scale, distance, adjustment, ..none },
            HeadKernel::ClassSums => Self { normalised, ..none },
            HeadKernel::RunningMean | HeadKernel::ClassMeans => none,
        }
    }

    fn with_weights_scale(self, scaled: bool) -> Self {
        let class_scale = if scaled { ClassScale::Weights } else { ClassScale::None };
        Self { class_scale, ..self }
    }

    fn has_margin(&self) -> bool {
        self.margin != MarginKind::None
    }

    fn scaled(&self) -> bool {
        self.class_scale != ClassScale::None
    }

    fn bias_file(&self) -> File {
        if self.bias { shader!("bias.wgsl") } else { shader!("no_bias.wgsl") }
    }

    fn class_scale_file(&self) -> File {
        if self.scaled() { shader!("class_scale.wgsl") } else { shader!("no_class_scale.wgsl") }
    }

    fn row_square_file(&self) -> File {
        if self.distance { shader!("row_square.wgsl") } else { shader!("no_row_square.wgsl") }
    }

    fn class_square_file(&self) -> File {
        if self.distance { shader!("class_square.wgsl") } else { shader!("no_class_square.wgsl") }
    }
}

impl HeadKey {
    /// The key of a kernel, with the terms that it has no use for left out.
    pub fn new(kernel: HeadKernel, terms: HeadTerms, workgroup: u32) -> Self {
        let terms = terms.of(kernel);
        Self { kernel, terms, a: Words::F32, c: Words::F32, shared: false, workgroup, lanes: 1 }
    }

    /// The key under which the kernel is cached.
    pub(super) fn cached(self) -> MatmulKey {
        MatmulKey {
            kernel: MatmulKernel::Head(self),
            layout: Default::default(),
            a: self.a,
            b: Words::F32,
            c: self.c,
            a_factors: false,
            b_factors: false,
            a_parts: false,
            b_parts: false,
            shared: self.shared,
            tile: Tile::direct(4, 1, self.workgroup),
        }
    }

    fn reads_rows(&self) -> bool {
        use HeadKernel::{ClassSums, CloseFeatures, CloseWeights, MovedRows, RunningMean};
        matches!(self.kernel, MovedRows | CloseFeatures | CloseWeights | RunningMean | ClassSums)
    }

    fn writes_rows(&self) -> bool {
        matches!(self.kernel, HeadKernel::CloseFeatures | HeadKernel::CloseWeights)
    }

    fn sums_over_threads(&self) -> bool {
        matches!(self.kernel, HeadKernel::MovedRows | HeadKernel::CloseClasses) || self.writes_rows()
    }

    /// The files after the header, in order.
    fn files(&self) -> Vec<File> {
        let terms = &self.terms;
        let mut files = vec![shader!("params.wgsl")];
        if self.reads_rows() {
            files.extend([self.a.load_a(), row_shader!("rows_of_a.wgsl")]);
        }
        if self.writes_rows() || self.kernel == HeadKernel::MovedRows {
            files.push(row_shader!("row_factor.wgsl"));
        }
        if self.writes_rows() {
            files.extend(self.c.store());
        }
        if self.sums_over_threads() {
            files.push(row_shader!("row_sum.wgsl"));
        }
        match self.kernel {
            HeadKernel::Logits => {
                files.extend([
                    terms.bias_file(),
                    terms.class_scale_file(),
                    terms.row_square_file(),
                    terms.class_square_file(),
                    shader!("logit.wgsl"),
                ]);
                files.extend(match terms.has_margin() {
                    true => {
                        vec![shader!("labels.wgsl"), shader!("margin.wgsl"), shader!("label_margin.wgsl")]
                    }
                    false => vec![shader!("no_margin.wgsl")],
                });
                files.push(shader!("logits.wgsl"));
            }
            HeadKernel::Columns => {
                files.push(terms.row_square_file());
                files.extend(match terms.has_margin() {
                    true => vec![shader!("labels.wgsl"), shader!("label_slope.wgsl")],
                    false => vec![shader!("no_label_slope.wgsl")],
                });
                files.push(shader!("columns.wgsl"));
            }
            HeadKernel::ScaledFactors => {
                files.extend([terms.class_scale_file(), shader!("scaled_factors.wgsl")]);
            }
            HeadKernel::MovedRows => {
                files.push(if terms.centred { shader!("centre.wgsl") } else { shader!("no_centre.wgsl") });
                files.push(if terms.effect { shader!("effect.wgsl") } else { shader!("no_effect.wgsl") });
                files.push(shader!("moved_rows.wgsl"));
            }
            HeadKernel::CloseFeatures => {
                files.push(match terms.distance {
                    true => shader!("terms_of_distant_features.wgsl"),
                    false => shader!("terms_of_features.wgsl"),
                });
                if terms.distance {
                    files.push(terms.class_scale_file());
                }
                files.push(shader!("close_rows.wgsl"));
            }
            HeadKernel::CloseWeights => {
                files.extend([
                    terms.class_scale_file(),
                    terms.class_square_file(),
                    shader!("terms_of_weights.wgsl"),
                    shader!("close_rows.wgsl"),
                ]);
            }
            HeadKernel::CloseClasses => {
                let [bias, class_scale, scale] = terms.outputs;
                files.extend([
                    terms.bias_file(),
                    terms.class_scale_file(),
                    if bias { shader!("write_bias.wgsl") } else { shader!("no_write_bias.wgsl") },
                    match class_scale {
                        true => shader!("write_class_scale.wgsl"),
                        false => shader!("no_write_class_scale.wgsl"),
                    },
                    if scale { shader!("write_scale.wgsl") } else { shader!("no_write_scale.wgsl") },
                    shader!("close_classes.wgsl"),
                ]);
            }
            HeadKernel::Top => {
                files.extend([
                    terms.bias_file(),
                    terms.class_scale_file(),
                    terms.row_square_file(),
                    terms.class_square_file(),
                    shader!("logit.wgsl"),
                    match terms.adjustment {
                        true => shader!("adjustment.wgsl"),
                        false => shader!("no_adjustment.wgsl"),
                    },
                    shader!("top.wgsl"),
                ]);
            }
            HeadKernel::RunningMean => files.push(shader!("running_mean.wgsl")),
            HeadKernel::ClassSums => {
                let normalised = terms.normalised;
                files.extend([
                    shader!("labels.wgsl"),
                    if normalised { shader!("factor.wgsl") } else { shader!("no_factor.wgsl") },
                    shader!("class_sums.wgsl"),
                ]);
            }
            HeadKernel::ClassMeans => files.push(shader!("class_means.wgsl")),
        }
        files
    }

    /// The bindings of group 0, numbered in order.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite, Uniform};
        let terms = &self.terms;
        let input = if self.shared { ReadWrite } else { Read };
        let (margin, scaled) = (terms.has_margin(), terms.scaled());
        let [bias_out, class_scale_out, scale_out] = terms.outputs;
        let kernel = self.kernel;
        let over_logits = matches!(kernel, HeadKernel::Logits | HeadKernel::Columns | HeadKernel::Top);
        let (class_sums, class_means) = (kernel == HeadKernel::ClassSums, kernel == HeadKernel::ClassMeans);
        let closes = kernel == HeadKernel::CloseFeatures;
        let state = |kernel| if kernel == HeadKernel::ScaledFactors { ReadWrite } else { Read };
        let slopes = if kernel == HeadKernel::Logits { ReadWrite } else { Read };
        let sums = if kernel == HeadKernel::CloseClasses { Read } else { ReadWrite };
        let all = [
            ("params", Uniform, true),
            ("a", input, self.reads_rows()),
            ("c", ReadWrite, self.writes_rows()),
            ("moved", ReadWrite, kernel == HeadKernel::MovedRows),
            ("logits", if over_logits { ReadWrite } else { input }, over_logits || closes && terms.distance),
            ("bias", input, terms.bias),
            ("class_scale", input, scaled),
            ("labels", input, margin || class_sums),
            ("centre", input, terms.centred),
            ("direction", input, terms.effect),
            ("row_state", slopes, over_logits && (margin || terms.distance) || closes || terms.normalised),
            (
                "class_state",
                state(kernel),
                matches!(kernel, HeadKernel::ScaledFactors | HeadKernel::CloseWeights)
                    || matches!(kernel, HeadKernel::Logits | HeadKernel::Top) && terms.distance,
            ),
            (
                "columns",
                sums,
                matches!(kernel, HeadKernel::Columns | HeadKernel::CloseWeights | HeadKernel::CloseClasses),
            ),
            ("bias_gradient", ReadWrite, bias_out),
            ("class_scale_gradient", ReadWrite, class_scale_out),
            ("scale_gradient", ReadWrite, scale_out),
            ("adjustment", input, terms.adjustment),
            ("top_logits", ReadWrite, kernel == HeadKernel::Top),
            ("top_classes", ReadWrite, kernel == HeadKernel::Top),
            ("mean", ReadWrite, kernel == HeadKernel::RunningMean),
            ("sums", if class_sums { ReadWrite } else { input }, class_sums || class_means),
            ("counts", if class_sums { ReadWrite } else { input }, class_sums || class_means),
            ("means", ReadWrite, class_means),
        ];
        let bound = all.into_iter().filter(|(.., bound)| *bound);
        (0..).zip(bound).map(|(number, (name, access, _))| Binding { number, name, access }).collect()
    }

    /// The types, constants and bindings that make this kernel of the files.
    fn header(&self) -> String {
        let mut text = String::from("// ---- generated header\n");
        if self.reads_rows() {
            let _ = writeln!(text, "alias WordA = {};", self.a.alias());
        }
        if self.writes_rows() {
            let _ = writeln!(text, "alias WordC = {};", self.c.alias());
        }
        let (margin, beyond, straight) = match self.terms.margin {
            MarginKind::None => (0, 0, false),
            MarginKind::Cosine => (1, 0, false),
            MarginKind::Angle { beyond, straight_through } => {
                let beyond = match beyond {
                    Beyond::Linear => 1,
                    Beyond::Easy => 2,
                    Beyond::Nothing => 0,
                };
                (2, beyond, straight_through)
            }
        };
        let _ = write!(
            text,
            "const WG: u32 = {}u; const LANES: u32 = {}u; const COLUMNS: u32 = {}u;\n\
             const MARGIN: u32 = {margin}u; const MARGIN_COSINE: u32 = 1u; const BEYOND: u32 = {beyond}u; \
             const BEYOND_LINEAR: u32 = 1u; const BEYOND_EASY: u32 = 2u;\n",
            self.workgroup,
            self.lanes,
            self.workgroup / self.lanes.max(1),
        );
        let switches = [
            ("STRAIGHT_THROUGH", straight),
            ("DISTANCE", self.terms.distance),
            ("SCALES_BIAS", self.terms.class_scale == ClassScale::Logits),
            ("HAS_MARGIN", self.terms.has_margin()),
            ("HAS_COLUMNS", self.terms.columns),
            ("A_BF16", self.a.is_bf16()),
        ];
        for (name, value) in switches {
            let _ = write!(text, "const {name}: bool = {value}; ");
        }
        text.push('\n');
        // The block of parameters is bound where its struct is.
        for Binding { number, name, access } in self.bindings().into_iter().skip(1) {
            let access = if access == Access::Read { "read" } else { "read_write" };
            let element = match name {
                "a" => "WordA",
                "c" => "WordC",
                "labels" => "i32",
                "top_classes" | "counts" => "u32",
                _ => "f32",
            };
            let _ = writeln!(
                text,
                "@group(0) @binding({number}) var<storage, {access}> {name}: array<{element}>;"
            );
        }
        text
    }

    /// The kernel's text, entry point `main`: neutral WGSL.
    pub fn wgsl(&self) -> String {
        let mut text = self.header();
        for (name, file) in self.files() {
            let _ = write!(text, "\n// ---- {name}\n{file}");
        }
        text
    }

    /// Bytes of workgroup memory, as declared.
    pub fn workgroup_bytes(&self) -> u32 {
        match self.kernel {
            HeadKernel::Columns => 16 * self.workgroup,
            HeadKernel::Top => 8 * self.workgroup + 8 * MOST_TOP,
            HeadKernel::MovedRows if !self.terms.effect => 0,
            HeadKernel::CloseFeatures | HeadKernel::CloseWeights => 4 * self.workgroup,
            HeadKernel::MovedRows | HeadKernel::CloseClasses | HeadKernel::RunningMean => 4 * self.workgroup,
            _ => 0,
        }
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let mut label = format!("longtail.head.{}", self.kernel.name());
        if self.reads_rows() {
            let _ = write!(label, ".{}", self.a.label());
        }
        if self.writes_rows() {
            let _ = write!(label, ".{}", self.c.label());
        }
        let terms = &self.terms;
        let margin = match terms.margin {
            MarginKind::None => "",
            MarginKind::Cosine => "cosface",
            MarginKind::Angle { beyond: Beyond::Linear, straight_through: false } => "arcface",
            MarginKind::Angle { beyond: Beyond::Easy, straight_through: false } => "arcface_easy",
            MarginKind::Angle { beyond: Beyond::Nothing, straight_through: false } => "arcface_plain",
            MarginKind::Angle { beyond: Beyond::Linear, straight_through: true } => "arcface_st",
            MarginKind::Angle { beyond: Beyond::Easy, straight_through: true } => "arcface_easy_st",
            MarginKind::Angle { beyond: Beyond::Nothing, straight_through: true } => "arcface_plain_st",
        };
        let parts = [
            (terms.bias, "bias"),
            (terms.class_scale == ClassScale::Weights, "scale"),
            (terms.class_scale == ClassScale::Logits, "scale_bias"),
            (terms.distance, "distance"),
            (terms.has_margin(), margin),
            (terms.centred, "centred"),
            (terms.effect, "effect"),
            (terms.adjustment, "adjusted"),
            (terms.normalised, "normalised"),
            (terms.columns, "columns"),
            (terms.outputs[0], "to_bias"),
            (terms.outputs[1], "to_class_scale"),
            (terms.outputs[2], "to_scale"),
            (self.shared, "shared"),
        ];
        for (_, part) in parts.iter().filter(|(present, _)| *present) {
            let _ = write!(label, ".{part}");
        }
        let _ = write!(label, ".wg{}", self.workgroup);
        if self.lanes > 1 {
            let _ = write!(label, ".l{}", self.lanes);
        }
        label
    }
}
