//! What tells a head's kernels apart, and what each of them binds.

use std::fmt::Write as _;

use crate::gpu::matmul::Words;
use crate::gpu::shader::{Access, Binding};
use crate::head::{Beyond, ClassScale};

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadKernel {
    /// From products to logits.
    Logits,
    /// What the product adds to each class's logits.
    ClassOffsets,
    /// What the product adds to each row's logits.
    RowOffsets,
    /// The margin in the labels' logits.
    LabelLogits,
    /// The margin's slope in the labels' gradients.
    LabelSlopes,
    /// Sums over rows for each class.
    Columns,
    /// Sums over classes for each row.
    RowSums,
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
    /// What classes have for kernels that compute logits as they need them.
    ClassNumbers,
}

impl HeadKernel {
    /// Every kernel.
    pub const ALL: [HeadKernel; 17] = [
        HeadKernel::Logits,
        HeadKernel::ClassOffsets,
        HeadKernel::RowOffsets,
        HeadKernel::LabelLogits,
        HeadKernel::LabelSlopes,
        HeadKernel::Columns,
        HeadKernel::RowSums,
        HeadKernel::ScaledFactors,
        HeadKernel::MovedRows,
        HeadKernel::CloseFeatures,
        HeadKernel::CloseWeights,
        HeadKernel::CloseClasses,
        HeadKernel::Top,
        HeadKernel::RunningMean,
        HeadKernel::ClassSums,
        HeadKernel::ClassMeans,
        HeadKernel::ClassNumbers,
    ];

    fn name(self) -> &'static str {
        match self {
            HeadKernel::Logits => "logits",
            HeadKernel::ClassOffsets => "class_offsets",
            HeadKernel::RowOffsets => "row_offsets",
            HeadKernel::LabelLogits => "label_logits",
            HeadKernel::LabelSlopes => "label_slopes",
            HeadKernel::Columns => "columns",
            HeadKernel::RowSums => "row_sums",
            HeadKernel::ScaledFactors => "scaled_factors",
            HeadKernel::MovedRows => "moved_rows",
            HeadKernel::CloseFeatures => "close_features",
            HeadKernel::CloseWeights => "close_weights",
            HeadKernel::CloseClasses => "close_classes",
            HeadKernel::Top => "top",
            HeadKernel::RunningMean => "running_mean",
            HeadKernel::ClassSums => "class_sums",
            HeadKernel::ClassMeans => "class_means",
            HeadKernel::ClassNumbers => "class_numbers",
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
    /// Whether the rows that the kernel goes through have factors that normalise them.
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
    /// Threads that share the rows of a class, or a row, a power of two; 1 where nothing is shared.
    pub lanes: u32,
}

/// The most classes that a row can be asked for, as `top.wgsl` has it.
pub(super) const MOST_TOP: u32 = 64;

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
            HeadKernel::ScaledFactors => Self { class_scale: ClassScale::Weights, normalised, ..none },
            HeadKernel::ClassOffsets => {
                let class_scale =
                    if class_scale == ClassScale::Logits { class_scale } else { ClassScale::None };
                Self { bias, class_scale, distance, ..none }
            }
            HeadKernel::LabelLogits => Self { margin, ..none },
            HeadKernel::MovedRows => Self { centred, effect, ..none },
            HeadKernel::RowSums => none.with_weights_scale(class_scale != ClassScale::None),
            HeadKernel::CloseFeatures => Self { distance, ..none },
            HeadKernel::CloseWeights => Self { distance, columns, normalised, ..none }
                .with_weights_scale(class_scale != ClassScale::None),
            HeadKernel::CloseClasses => Self { bias, class_scale, outputs, ..none },
            HeadKernel::Top => Self { bias, class_scale, distance, adjustment, ..none },
            HeadKernel::ClassSums => Self { normalised, ..none },
            // What the scales multiply is of no interest here, and a distance has factors.
            HeadKernel::ClassNumbers => Self { bias, distance, normalised: normalised || distance, ..none }
                .with_weights_scale(class_scale != ClassScale::None),
            HeadKernel::RowOffsets
            | HeadKernel::LabelSlopes
            | HeadKernel::RunningMean
            | HeadKernel::ClassMeans => none,
        }
    }

    /// What the logits' own kernels depend on.
    pub(super) fn of_logits(self) -> Self {
        self.of(HeadKernel::Logits)
    }

    fn with_weights_scale(self, scaled: bool) -> Self {
        let class_scale = if scaled { ClassScale::Weights } else { ClassScale::None };
        Self { class_scale, ..self }
    }

    /// The margin's name in labels.
    pub(super) fn margin_label(&self) -> &'static str {
        match self.margin {
            MarginKind::None => "",
            MarginKind::Cosine => "cosface",
            MarginKind::Angle { beyond: Beyond::Linear, straight_through: false } => "arcface",
            MarginKind::Angle { beyond: Beyond::Easy, straight_through: false } => "arcface_easy",
            MarginKind::Angle { beyond: Beyond::Nothing, straight_through: false } => "arcface_plain",
            MarginKind::Angle { beyond: Beyond::Linear, straight_through: true } => "arcface_st",
            MarginKind::Angle { beyond: Beyond::Easy, straight_through: true } => "arcface_easy_st",
            MarginKind::Angle { beyond: Beyond::Nothing, straight_through: true } => "arcface_plain_st",
        }
    }

    pub(super) fn has_margin(&self) -> bool {
        self.margin != MarginKind::None
    }

    pub(super) fn scaled(&self) -> bool {
        self.class_scale != ClassScale::None
    }
}

impl HeadKey {
    /// The key of a kernel, with the terms that it has no use for left out.
    pub fn new(kernel: HeadKernel, terms: HeadTerms, workgroup: u32) -> Self {
        let terms = terms.of(kernel);
        Self { kernel, terms, a: Words::F32, c: Words::F32, shared: false, workgroup, lanes: 1 }
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.workgroup
    }

    /// The features that the device must have: none.
    pub fn features(&self) -> wgpu::Features {
        wgpu::Features::empty()
    }

    pub(super) fn reads_rows(&self) -> bool {
        use HeadKernel::{ClassSums, CloseFeatures, CloseWeights, MovedRows, RunningMean};
        matches!(self.kernel, MovedRows | CloseFeatures | CloseWeights | RunningMean | ClassSums)
    }

    pub(super) fn writes_rows(&self) -> bool {
        matches!(self.kernel, HeadKernel::CloseFeatures | HeadKernel::CloseWeights)
    }

    pub(super) fn sums_over_threads(&self) -> bool {
        use HeadKernel::{CloseClasses, MovedRows, RowSums};
        matches!(self.kernel, MovedRows | CloseClasses | RowSums) || self.writes_rows()
    }

    /// Whether each thread has rows of its own.
    pub(super) fn rows_own(&self) -> bool {
        self.writes_rows() && self.lanes == 1
    }

    /// The bindings of group 0, numbered in order.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite, Uniform};
        let terms = &self.terms;
        let input = if self.shared { ReadWrite } else { Read };
        let (margin, scaled) = (terms.has_margin(), terms.scaled());
        let [bias_out, class_scale_out, scale_out] = terms.outputs;
        let kernel = self.kernel;
        let over_labels = matches!(kernel, HeadKernel::LabelLogits | HeadKernel::LabelSlopes);
        let over_logits =
            matches!(kernel, HeadKernel::Logits | HeadKernel::Columns | HeadKernel::Top) || over_labels;
        let (class_sums, class_means) = (kernel == HeadKernel::ClassSums, kernel == HeadKernel::ClassMeans);
        let closes = kernel == HeadKernel::CloseFeatures;
        let (scaled_factors, class_offsets) =
            (kernel == HeadKernel::ScaledFactors, kernel == HeadKernel::ClassOffsets);
        let state = if scaled_factors || class_offsets { ReadWrite } else { Read };
        let (row_sums, row_offsets) = (kernel == HeadKernel::RowSums, kernel == HeadKernel::RowOffsets);
        let writes_slopes = matches!(kernel, HeadKernel::Logits | HeadKernel::LabelLogits);
        let slopes = if writes_slopes || row_sums || row_offsets { ReadWrite } else { Read };
        let sums = if kernel == HeadKernel::CloseClasses { Read } else { ReadWrite };
        let all = [
            ("params", Uniform, true),
            ("a", input, self.reads_rows()),
            ("c", ReadWrite, self.writes_rows()),
            ("moved", ReadWrite, kernel == HeadKernel::MovedRows),
            ("logits", if over_logits { ReadWrite } else { input }, over_logits || row_sums),
            ("bias", input, terms.bias),
            ("class_scale", input, scaled),
            ("labels", input, margin || class_sums || over_labels),
            ("centre", input, terms.centred),
            ("direction", input, terms.effect),
            (
                "row_state",
                slopes,
                over_logits && (margin || terms.distance)
                    || over_labels
                    || closes
                    || row_sums
                    || row_offsets
                    || class_sums && terms.normalised,
            ),
            (
                "class_state",
                state,
                scaled_factors
                    || class_offsets
                    || kernel == HeadKernel::CloseWeights && (terms.normalised || terms.distance)
                    || matches!(kernel, HeadKernel::Logits | HeadKernel::Top) && terms.distance
                    || kernel == HeadKernel::ClassNumbers && terms.normalised,
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
            ("class_numbers", ReadWrite, kernel == HeadKernel::ClassNumbers),
        ];
        let bound = all.into_iter().filter(|(.., bound)| *bound);
        (0..).zip(bound).map(|(number, (name, access, _))| Binding { number, name, access }).collect()
    }

    /// Bytes of workgroup memory, as declared.
    pub fn workgroup_bytes(&self) -> u32 {
        match self.kernel {
            HeadKernel::Columns => 16 * self.workgroup,
            HeadKernel::Top => 8 * self.workgroup + 8 * MOST_TOP,
            HeadKernel::MovedRows if !self.terms.effect => 0,
            HeadKernel::CloseFeatures | HeadKernel::CloseWeights if self.rows_own() => 0,
            HeadKernel::CloseFeatures | HeadKernel::CloseWeights => 4 * self.workgroup,
            HeadKernel::MovedRows
            | HeadKernel::CloseClasses
            | HeadKernel::RowSums
            | HeadKernel::RunningMean => 4 * self.workgroup,
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
        let parts = [
            (terms.bias, "bias"),
            (terms.class_scale == ClassScale::Weights, "scale"),
            (terms.class_scale == ClassScale::Logits, "scale_bias"),
            (terms.distance, "distance"),
            (terms.has_margin(), terms.margin_label()),
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
