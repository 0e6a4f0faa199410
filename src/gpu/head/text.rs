//! The text of a head's kernels: a generated header and whole files of `shaders/head/` and `shaders/matmul/`.
//!
//! The only module that knows what is in `shaders/head/`. [`HeadKey::wgsl`] is a pure function of the key.

use std::fmt::Write as _;

use super::key::{HeadKernel, HeadKey, HeadTerms, MarginKind};
use crate::gpu::shader::{Access, Binding};
use crate::head::{Beyond, ClassScale};

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
    fn bias_file(&self) -> File {
        if self.bias { shader!("bias.wgsl") } else { shader!("no_bias.wgsl") }
    }

    fn class_scale_file(&self) -> File {
        if self.scaled() { shader!("class_scale.wgsl") } else { shader!("no_class_scale.wgsl") }
    }

    fn row_square_file(&self) -> File {
        if self.distance { shader!("row_square.wgsl") } else { shader!("no_row_square.wgsl") }
    }

    /// For the kernels that go through the weights' parts.
    fn class_parts_file(&self) -> File {
        match self.normalised || self.distance {
            true => shader!("class_parts.wgsl"),
            false => shader!("no_class_parts.wgsl"),
        }
    }

    fn class_square_file(&self) -> File {
        if self.distance { shader!("class_square.wgsl") } else { shader!("no_class_square.wgsl") }
    }

    /// The margin and what else the terms say about logits.
    pub(super) fn constants(&self, text: &mut String) {
        let (margin, beyond, straight) = match self.margin {
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
        let _ = writeln!(
            text,
            "const MARGIN: u32 = {margin}u; const MARGIN_COSINE: u32 = 1u; const BEYOND: u32 = {beyond}u; \
             const BEYOND_LINEAR: u32 = 1u; const BEYOND_EASY: u32 = 2u;",
        );
        let switches = [
            ("STRAIGHT_THROUGH", straight),
            ("DISTANCE", self.distance),
            ("SCALES_BIAS", self.class_scale == ClassScale::Logits),
        ];
        for (name, value) in switches {
            let _ = write!(text, "const {name}: bool = {value}; ");
        }
        text.push('\n');
    }
}

impl HeadKey {
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
            files.extend([
                row_shader!("row_part.wgsl"),
                match self.rows_own() {
                    true => row_shader!("row_own.wgsl"),
                    false => row_shader!("row_shared.wgsl"),
                },
            ]);
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
            HeadKernel::ClassOffsets => {
                files.extend([
                    terms.bias_file(),
                    terms.class_scale_file(),
                    terms.class_square_file(),
                    shader!("class_offsets.wgsl"),
                ]);
            }
            HeadKernel::RowOffsets => {
                files.extend([shader!("row_square.wgsl"), shader!("row_offsets.wgsl")]);
            }
            HeadKernel::LabelLogits => {
                files.extend([
                    shader!("labels.wgsl"),
                    shader!("label_column.wgsl"),
                    if terms.has_margin() { shader!("margin.wgsl") } else { shader!("no_margin.wgsl") },
                ]);
                if terms.has_margin() {
                    files.push(shader!("label_margin.wgsl"));
                }
                files.extend([shader!("label_logits.wgsl"), shader!("at_labels.wgsl")]);
            }
            HeadKernel::LabelSlopes => {
                files.extend([
                    shader!("labels.wgsl"),
                    shader!("label_column.wgsl"),
                    shader!("label_slope.wgsl"),
                    shader!("label_slopes.wgsl"),
                    shader!("at_labels.wgsl"),
                ]);
            }
            HeadKernel::Columns => {
                files.push(terms.row_square_file());
                files.extend(match terms.has_margin() {
                    true => vec![shader!("labels.wgsl"), shader!("label_slope.wgsl")],
                    false => vec![shader!("no_label_slope.wgsl")],
                });
                files.push(shader!("columns.wgsl"));
            }
            HeadKernel::RowSums => {
                files.extend([terms.class_scale_file(), shader!("row_sums.wgsl")]);
            }
            HeadKernel::ScaledFactors => {
                files.extend([
                    match terms.normalised {
                        true => shader!("class_factor.wgsl"),
                        false => shader!("no_class_factor.wgsl"),
                    },
                    terms.class_scale_file(),
                    shader!("scaled_factors.wgsl"),
                ]);
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
                files.push(shader!("close_rows.wgsl"));
            }
            HeadKernel::CloseWeights => {
                files.extend([
                    terms.class_scale_file(),
                    terms.class_square_file(),
                    terms.class_parts_file(),
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
            HeadKernel::ClassNumbers => files.extend([
                terms.bias_file(),
                terms.class_scale_file(),
                terms.class_square_file(),
                match terms.normalised {
                    true => shader!("part_factor.wgsl"),
                    false => shader!("no_part_factor.wgsl"),
                },
                shader!("class_fields.wgsl"),
                shader!("class_numbers.wgsl"),
            ]),
        }
        files
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
        let _ = writeln!(
            text,
            "const WG: u32 = {}u; const LANES: u32 = {}u; const COLUMNS: u32 = {}u;",
            self.workgroup,
            self.lanes,
            self.workgroup / self.lanes.max(1),
        );
        self.terms.constants(&mut text);
        let switches = [
            ("HAS_COLUMNS", self.terms.columns),
            (
                "ALONG",
                self.kernel != HeadKernel::CloseWeights || self.terms.normalised || self.terms.distance,
            ),
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
}
