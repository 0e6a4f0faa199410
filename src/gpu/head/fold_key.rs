//! The kernels that compute logits as a softmax loss needs them, from features and weights: what tells them apart, what
//! they bind, and their text.

use std::fmt::Write as _;

use super::key::HeadTerms;
use crate::TargetKind;
use crate::gpu::matmul::{Layout, Manner, MatmulKernel, MatmulKey, Tile, Words};
use crate::gpu::shader::{Access, Binding, Driver, File, KernelKey, Matrices, Storage, shader as common};
use crate::head::ClassScale;

/// A kernel of the softmax family's that has its logits from the head's products, which stay on chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FoldKey {
    /// The kernel that it stands for: [`Driver::Partial`] with four lanes and the tile's threads, or
    /// [`Driver::LabelLogits`] with one.
    pub loss: KernelKey,
    /// The head's biases, scales, distance and margin.
    pub terms: HeadTerms,
    /// How features are read.
    pub a: Words,
    /// How weights are read.
    pub b: Words,
    /// Whether rows of features, and rows of weights, have factors.
    pub factors: [bool; 2],
    /// Whether rows have more than one part.
    pub parts: bool,
    /// How the products are laid over threads; without an effect on labels.
    pub tile: Tile,
}

macro_rules! shader {
    ($name:literal) => {
        (concat!("head/", $name), include_str!(concat!("../../../shaders/head/", $name)))
    };
}

impl FoldKey {
    /// The tiles, the one that is preferred first: as wide as a processor's vectors, or by registers and workgroup memory.
    pub(super) fn tiles(software: bool) -> [Tile; 4] {
        match software {
            true => [Tile::broadcast(), Tile::direct(8, 2, 4), Tile::direct(4, 2, 4), Tile::direct(4, 1, 1)],
            false => [
                Tile::staged(8, 8, 4, 8),
                Tile::staged(4, 8, 8, 8),
                Tile::staged(4, 4, 8, 8),
                Tile::direct(4, 1, 1),
            ],
        }
    }

    /// This kernel in the place of one of the loss's.
    pub(crate) fn with_loss(self, loss: KernelKey) -> Self {
        let tile = match loss.driver {
            Driver::Partial => self.tile,
            _ => Tile::direct(4, 1, 1),
        };
        Self { loss, tile, ..self }
    }

    fn folds(&self) -> bool {
        self.loss.driver == Driver::Partial
    }

    /// Whether classes bring more than their weights.
    fn class_numbers(&self) -> bool {
        self.factors[1] || self.terms.bias || self.terms.class_scale != ClassScale::None
    }

    fn draws(&self) -> bool {
        self.loss.terms.gate
    }

    fn matrices(&self) -> Matrices {
        Matrices {
            storage: Storage::Separate,
            logits: None,
            gradient: None,
            may_replace: false,
            straddle: false,
            walks: false,
            lanes: self.loss.lanes,
            dense: self.loss.targets == TargetKind::Soft || self.loss.terms.gate_given,
            upstream: false,
        }
    }

    fn product(&self) -> MatmulKey {
        MatmulKey {
            kernel: MatmulKernel::Product,
            layout: Layout::Nt,
            a: self.a,
            b: self.b,
            c: Words::F32,
            a_factors: self.factors[0],
            b_factors: self.factors[1],
            a_parts: self.parts && self.factors[0],
            b_parts: self.parts && self.factors[1],
            row_offsets: false,
            column_offsets: false,
            row_sums: false,
            shared: false,
            tile: self.tile,
        }
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.loss.workgroup
    }

    /// Rows of a workgroup by the rows of a thread.
    fn roots(&self) -> u32 {
        if self.folds() { self.tile.group_m() / 4 } else { 1 }
    }

    /// Bytes of workgroup memory, as declared.
    pub fn workgroup_bytes(&self) -> u32 {
        match self.folds() {
            true => {
                let products = 4 * self.tile.group_m() * self.tile.group_n();
                products + self.tile.workgroup_bytes() + self.loss.workgroup_bytes()
            }
            false => 0,
        }
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        match self.folds() {
            true => self.product().features(),
            false => wgpu::Features::empty(),
        }
    }

    /// The bindings of group 0: at most 8 storage buffers, since gates that are drawn have no dense matrix.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite, Uniform};
        let all = [
            (0, "window", Uniform, true),
            (1, "scalars", Read, self.draws()),
            (2, "rows_in", Read, true),
            (3, "classes", Read, true),
            (4, "saved", ReadWrite, true),
            (7, "dense", Read, self.matrices().dense),
            (10, "spec", Uniform, true),
            (11, "params", Uniform, true),
            (12, "a", Read, true),
            (13, "b", Read, true),
            (14, "a_scales", Read, self.factors[0]),
            (15, "b_scales", Read, self.class_numbers()),
        ];
        let bound = all.into_iter().filter(|(.., bound)| *bound);
        bound.map(|(number, name, access, _)| Binding { number, name, access }).collect()
    }

    /// The files after the header, in order.
    fn files(&self) -> Vec<File> {
        let terms = &self.terms;
        let mut files = vec![
            common!("window.wgsl"),
            common!("fields.wgsl"),
            common!("softmax_fields.wgsl"),
            common!("softmax_spec.wgsl"),
        ];
        self.matrices().push_files(&mut files);
        files.extend([
            common!("prelude.wgsl"),
            common!("terms.wgsl"),
            common!("threefry.wgsl"),
            common!("step_draws.wgsl"),
            common!("gates.wgsl"),
            common!("scan.wgsl"),
            common!("row.wgsl"),
            common!("mass.wgsl"),
            common!("slots.wgsl"),
            shader!("fold_params.wgsl"),
            shader!("class_fields.wgsl"),
        ]);
        files.extend(self.product().operand_files());
        files.push(match self.class_numbers() {
            true => shader!("of_class.wgsl"),
            false => shader!("no_of_class.wgsl"),
        });
        files.push(match terms.distance {
            true => shader!("lengths.wgsl"),
            false => shader!("no_lengths.wgsl"),
        });
        files.extend(match terms.has_margin() {
            true => vec![shader!("margin.wgsl"), shader!("margin_of.wgsl")],
            false => vec![shader!("no_margin_of.wgsl")],
        });
        files.push(match self.loss.lanes {
            1 => shader!("rows1.wgsl"),
            _ => shader!("rows4.wgsl"),
        });
        files.push(shader!("logits_of.wgsl"));
        if !self.folds() {
            files.extend([shader!("label_product.wgsl"), common!("label_logits.wgsl")]);
            return files;
        }
        files.extend([
            shader!("no_label_product.wgsl"),
            common!("workgroup.wgsl"),
            common!("part_of_row.wgsl"),
            common!("visit.wgsl"),
        ]);
        files.extend(self.product().multiply_files());
        if self.tile.manner == Manner::Broadcast {
            files.push(shader!("kept_eights.wgsl"));
        }
        files.extend([shader!("kept_products.wgsl"), shader!("fold.wgsl"), self.tile.main_file()]);
        files
    }

    /// The kernel's text, entry point `main`.
    pub fn wgsl(&self) -> String {
        let mut text = self.loss.header(self.roots());
        text.push_str(&self.product().constants());
        self.terms.constants(&mut text);
        let switches = [
            ("HAS_MARGIN", self.terms.has_margin()),
            ("HEAD_BIAS", self.terms.bias),
            ("HEAD_SCALE", self.terms.class_scale != ClassScale::None),
        ];
        for (name, value) in switches {
            let _ = write!(text, "const {name}: bool = {value}; ");
        }
        text.push('\n');
        for Binding { number, name, access } in self.bindings() {
            let element = match name {
                "scalars" | "rows_in" | "saved" => "u32",
                "a" => "WordA",
                "b" => "WordB",
                "classes" | "a_scales" | "b_scales" => "f32",
                // Bound where they are declared.
                _ => continue,
            };
            let access = if access == Access::Read { "read" } else { "read_write" };
            let _ = writeln!(
                text,
                "@group(0) @binding({number}) var<storage, {access}> {name}: array<{element}>;"
            );
        }
        if !self.draws() {
            // Nothing is drawn: the generator's key is of no interest.
            text.push_str("const scalars = array<u32, 4>();\n");
        }
        for (name, file) in self.files() {
            let _ = write!(text, "\n// ---- {name}\n{file}");
        }
        text
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let terms = &self.terms;
        let mut label = format!("longtail.head.{}", if self.folds() { "fold" } else { "label" });
        if self.folds() {
            let _ = write!(label, ".{}", self.tile.label());
        }
        let _ = write!(label, ".{}.{}", self.a.label(), self.b.label());
        let parts = [
            (self.factors[0], "factors_a"),
            (self.factors[1], "factors_b"),
            (self.parts, "parts"),
            (terms.bias, "bias"),
            (terms.class_scale == ClassScale::Weights, "scale"),
            (terms.class_scale == ClassScale::Logits, "scale_bias"),
            (terms.distance, "distance"),
            (terms.has_margin(), terms.margin_label()),
        ];
        for (_, part) in parts.iter().filter(|(present, _)| *present) {
            let _ = write!(label, ".{part}");
        }
        let loss = self.loss.label();
        let _ = write!(label, " {}", loss.strip_prefix("longtail.").unwrap_or(&loss));
        label
    }
}
