//! The text of the matrix kernels: a generated header and whole files of `shaders/matmul/`, concatenated.
//!
//! It and `words.rs` alone know what is in that folder. [`MatmulKey::wgsl`] is a pure function of the key.

use std::fmt::Write as _;

use super::request::Layout;
use super::tile::{Manner, Tile, pitch};
use super::words::{File, Words, shader};
use crate::gpu::shader::{Access, Binding};

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MatmulKernel {
    /// `C = alpha A B (+ numbers of rows and columns) (+ C)`.
    Product,
    /// Sums of squares and factors of the rows of A.
    Norms,
    /// A gradient through the normalisation of the rows of A.
    ThroughNorm {
        /// Whether the gradient is overwritten; else B is read and C written.
        in_place: bool,
    },
}

/// Everything that a matrix kernel's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatmulKey {
    /// Which kernel.
    pub kernel: MatmulKernel,
    /// Which rows are multiplied with which.
    pub layout: Layout,
    /// How A is read.
    pub a: Words,
    /// How B is read.
    pub b: Words,
    /// How C is written.
    pub c: Words,
    /// Whether the rows of A have factors.
    pub a_factors: bool,
    /// Whether the rows of B have factors.
    pub b_factors: bool,
    /// Whether rows of A have more than one part.
    pub a_parts: bool,
    /// Whether rows of B have more than one part.
    pub b_parts: bool,
    /// Whether something is added to the rows of C.
    pub row_offsets: bool,
    /// Whether something is added to the columns of C.
    pub column_offsets: bool,
    /// Whether the sums of what stands before the rows of C are asked for.
    pub row_sums: bool,
    /// Whether A and B may be in C's buffer.
    pub shared: bool,
    /// How C is laid over threads; for row kernels only the number of threads counts.
    pub tile: Tile,
}

impl MatmulKey {
    fn cooperative(&self) -> bool {
        self.kernel == MatmulKernel::Product && self.tile.manner == Manner::Cooperative
    }

    fn broadcast(&self) -> bool {
        self.kernel == MatmulKernel::Product && self.tile.manner == Manner::Broadcast
    }

    /// Whether one thread of a subgroup reads a factor for all of them.
    pub(super) fn hands_factors(&self) -> bool {
        self.broadcast() && self.layout != Layout::Nt && self.b_factors && !self.b_parts
    }

    /// Whether B is bound.
    fn reads_b(&self) -> bool {
        matches!(self.kernel, MatmulKernel::Product | MatmulKernel::ThroughNorm { in_place: false })
    }

    /// Whether the text needs the device's f16.
    fn native_f16(&self) -> bool {
        self.c == Words::F16Native || self.cooperative()
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        let mut features = wgpu::Features::empty();
        if self.native_f16() {
            features |= wgpu::Features::SHADER_F16;
        }
        if self.cooperative() {
            features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        }
        if self.cooperative() || self.broadcast() {
            features |= wgpu::Features::SUBGROUP;
        }
        features
    }

    /// The files after the header, in order.
    fn files(&self) -> Vec<File> {
        let mut files = vec![shader!("params.wgsl")];
        files.push(match self.shared {
            true => shader!("bind_a_shared.wgsl"),
            false => shader!("bind_a.wgsl"),
        });
        if self.reads_b() {
            files.push(match self.shared {
                true => shader!("bind_b_shared.wgsl"),
                false => shader!("bind_b.wgsl"),
            });
            files.push(self.b.load_b());
        }
        files.push(self.a.load_a());
        if self.kernel != MatmulKernel::Norms {
            files.push(shader!("bind_c.wgsl"));
            files.extend(self.c.store());
        }
        match self.kernel {
            MatmulKernel::Product => files.extend(self.product_files()),
            // A head's kernel has its own text.
            MatmulKernel::Norms => {
                files.extend([
                    shader!("rows_of_a.wgsl"),
                    shader!("row_factor.wgsl"),
                    shader!("row_part.wgsl"),
                    if self.rows_own() { shader!("row_own.wgsl") } else { shader!("row_shared.wgsl") },
                    shader!("norms.wgsl"),
                ]);
            }
            MatmulKernel::ThroughNorm { in_place } => {
                files.push(match in_place {
                    true => shader!("gradient_in_place.wgsl"),
                    false => shader!("gradient_apart.wgsl"),
                });
                files.extend([
                    shader!("rows_of_a.wgsl"),
                    shader!("row_factor.wgsl"),
                    shader!("row_part.wgsl"),
                    shader!("row_shared.wgsl"),
                    shader!("through_norm.wgsl"),
                ]);
            }
        }
        files
    }

    /// Whether factors multiply the elements of A as they are read. One for a whole row that ends as a row or column of C
    /// can wait until that is stored.
    fn a_early(&self) -> bool {
        self.a_factors && (self.a_parts || self.layout == Layout::Tn)
    }

    fn b_early(&self) -> bool {
        self.b_factors && (self.b_parts || self.layout != Layout::Nt)
    }

    /// How the rows of A and of B are read: their factors, four rows at a time.
    pub(super) fn side_files(&self) -> Vec<File> {
        let mut files = vec![
            match (self.a_factors, self.a_early()) {
                (true, true) => shader!("scale_a.wgsl"),
                (true, false) => shader!("late_a.wgsl"),
                (false, _) => shader!("scale_no_a.wgsl"),
            },
            match (self.b_factors && !self.hands_factors(), self.b_early()) {
                (true, true) => shader!("scale_b.wgsl"),
                (true, false) => shader!("late_b.wgsl"),
                (false, _) => shader!("scale_no_b.wgsl"),
            },
            match self.layout {
                Layout::Tn => shader!("block_a_columns.wgsl"),
                _ => shader!("block_a_rows.wgsl"),
            },
            match self.layout {
                Layout::Nt => shader!("block_b_rows.wgsl"),
                _ => shader!("block_b_columns.wgsl"),
            },
        ];
        files.extend(self.a_factors.then_some(shader!("bind_a_scales.wgsl")));
        files.extend(self.b_factors.then_some(shader!("bind_b_scales.wgsl")));
        files
    }

    fn product_files(&self) -> Vec<File> {
        let mut files = self.side_files();
        files.extend([
            match self.row_offsets {
                true => shader!("row_offset.wgsl"),
                false => shader!("no_row_offset.wgsl"),
            },
            match self.column_offsets {
                true => shader!("column_offset.wgsl"),
                false => shader!("no_column_offset.wgsl"),
            },
            shader!("ends.wgsl"),
            shader!("place.wgsl"),
        ]);
        if self.tile.manner == Manner::Cooperative {
            files.push(self.a.eight_a(self.a_early()));
            files.push(self.b.eight_b(self.b_early()));
            files.push(shader!("cooperative.wgsl"));
            return files;
        }
        files.push(match self.row_sums {
            true => shader!("row_sums.wgsl"),
            false => shader!("no_row_sums.wgsl"),
        });
        files.extend(self.multiply_files());
        if self.tile.manner == Manner::Broadcast {
            files.push(shader!("store_eights.wgsl"));
        }
        files.extend([shader!("tiles.wgsl"), self.tile.main_file()]);
        files
    }

    /// The extensions, types and constants that make this kernel of the files.
    fn header(&self) -> String {
        let mut text = String::new();
        if self.native_f16() {
            text.push_str("enable f16;\n");
        }
        if self.cooperative() {
            text.push_str("enable wgpu_cooperative_matrix;\n");
        }
        text.push_str("// ---- generated header\n");
        let words = [("WordA", Some(self.a)), ("WordB", self.reads_b().then_some(self.b))];
        let written = ("WordC", (self.kernel != MatmulKernel::Norms).then_some(self.c));
        for (name, words) in words.into_iter().chain([written]) {
            if let Some(words) = words {
                let _ = write!(text, "alias {name} = {}; ", words.alias());
            }
        }
        let _ = write!(text, "\nconst WG: u32 = {}u; ", self.tile.workgroup());
        if self.kernel == MatmulKernel::Product {
            self.tile_header(&mut text);
        }
        self.switches(&mut text);
        text
    }

    pub(super) fn switches(&self, text: &mut String) {
        let along_k = |rows: bool| if rows { "true" } else { "false" };
        let _ = write!(
            text,
            "\nconst A_ALONG_K: bool = {}; const B_ALONG_K: bool = {};",
            along_k(self.layout != Layout::Tn),
            along_k(self.layout == Layout::Nt),
        );
        let switches = [
            ("A_PARTS", self.a_parts),
            ("B_PARTS", self.b_parts),
            ("A_BF16", self.a.is_bf16()),
            ("B_BF16", self.b.is_bf16()),
            ("HAS_OFFSETS", self.row_offsets || self.column_offsets),
            ("HAS_ROW_SUMS", self.row_sums),
        ];
        text.push('\n');
        for (name, value) in switches {
            let _ = write!(text, "const {name}: bool = {value}; ");
        }
        text.push('\n');
    }

    pub(super) fn tile_header(&self, text: &mut String) {
        let tile = &self.tile;
        let numbers = [
            ("GROUP_M", tile.group_m()),
            ("GROUP_N", tile.group_n()),
            ("DEPTH", tile.depth),
            ("THREADS_N", tile.threads_n),
            ("SPREAD_M", 4 * tile.threads_m),
            ("SPREAD_N", 4 * tile.threads_n),
        ];
        for (name, value) in numbers {
            let _ = write!(text, "const {name}: u32 = {value}u; ");
        }
        if self.cooperative() {
            let edge = tile.edge;
            let _ = write!(
                text,
                "\nalias CoopA = coop_mat{edge}x{edge}<f16, A>; alias CoopB = coop_mat{edge}x{edge}<f16, B>; \
                 alias CoopC = coop_mat{edge}x{edge}<f32, C>;\n",
            );
            let [a, b] = self.slabs();
            let numbers = [
                ("COOP", edge),
                ("SUBGROUP", tile.subgroup),
                ("SUBGROUPS_M", tile.threads_m),
                ("SUBGROUPS_N", tile.threads_n),
                ("MATRICES_M", tile.matrices_m),
                ("MATRICES_N", tile.matrices_n),
                ("SLAB_A", tile.slab(tile.group_m())),
                ("SLAB_B", tile.slab(tile.group_n())),
                ("A_ROWS", a.0),
                ("A_WIDTH", a.1 / 8),
                ("A_PITCH", pitch(a.1)),
                ("B_ROWS", b.0),
                ("B_WIDTH", b.1 / 8),
                ("B_PITCH", pitch(b.1)),
            ];
            for (name, value) in numbers {
                let _ = write!(text, "const {name}: u32 = {value}u; ");
            }
            let whole = |words| words == Words::F16x8;
            let _ = write!(
                text,
                "\nconst A_WHOLE: bool = {}; const B_WHOLE: bool = {};",
                whole(self.a),
                whole(self.b)
            );
        }
    }

    /// Rows and columns of the slabs of A and of B: as they lie in memory.
    fn slabs(&self) -> [(u32, u32); 2] {
        let Tile { depth, .. } = self.tile;
        let (m, n) = (self.tile.group_m(), self.tile.group_n());
        match self.layout {
            Layout::Nt => [(m, depth), (n, depth)],
            Layout::Nn => [(m, depth), (depth, n)],
            Layout::Tn => [(depth, m), (depth, n)],
        }
    }

    /// The text of cooperative products with its repetitions written out.
    fn unrolled(&self, text: &str) -> String {
        let tile = &self.tile;
        let fetched =
            self.slabs().map(|(rows, columns)| (rows * columns / 8).div_ceil(tile.workgroup().max(1)));
        let counts = [
            ("$k", tile.depth / tile.edge.max(1)),
            ("$f", fetched[0]),
            ("$g", fetched[1]),
            ("$i", tile.matrices_m),
            ("$j", tile.matrices_n),
        ];
        // How the slabs lie: A with rows of C as its rows, B with k as its rows where they go that way in memory.
        let load = |by_rows: bool| if by_rows { "coopLoadT" } else { "coopLoad" };
        let text = text
            .replace("$load_a", load(self.layout != Layout::Tn))
            .replace("$load_b", load(self.layout != Layout::Nt));
        counts.into_iter().fold(text, |text, (name, count)| repeated(&text, name, count))
    }

    /// The kernel's text, entry point `main`: neutral WGSL, but for cooperative products. Broadcast ones use subgroups,
    /// for which other compilers than naga want `enable subgroups;` before the text, and naga wants nothing.
    pub fn wgsl(&self) -> String {
        let mut text = self.header();
        for (name, file) in self.files() {
            let _ = write!(text, "\n// ---- {name}\n{file}");
        }
        if self.cooperative() { self.unrolled(&text) } else { text }
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        let input = if self.shared { Access::ReadWrite } else { Access::Read };
        let norms = self.kernel == MatmulKernel::Norms;
        let sums = matches!(self.kernel, MatmulKernel::ThroughNorm { .. });
        let all = [
            (0, "params", Access::Uniform, true),
            (1, "a", input, true),
            (2, "b", input, self.reads_b()),
            (3, "c", Access::ReadWrite, !norms),
            (3, "sums", Access::ReadWrite, norms),
            (4, "factors", Access::ReadWrite, norms),
            (4, "sums", Access::Read, sums),
            (4, "a_scales", Access::Read, self.a_factors),
            (5, "b_scales", Access::Read, self.b_factors),
            (6, "row_offsets", Access::Read, self.row_offsets),
            (7, "column_offsets", Access::Read, self.column_offsets),
            (8, "row_sums", Access::ReadWrite, self.row_sums),
        ];
        let bound = all.into_iter().filter(|(.., bound)| *bound);
        bound.map(|(number, name, access, _)| Binding { number, name, access }).collect()
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.tile.workgroup()
    }

    /// Bytes of workgroup memory, as declared.
    pub fn workgroup_bytes(&self) -> u32 {
        match self.kernel {
            MatmulKernel::Product => self.tile.workgroup_bytes(),
            _ if self.rows_own() => 0,
            _ => 4 * self.tile.workgroup(),
        }
    }

    /// Whether the threads of a kernel over rows have parts of their own.
    pub(super) fn rows_own(&self) -> bool {
        self.kernel == MatmulKernel::Norms && self.tile.threads_n == 1
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let kernel = match self.kernel {
            MatmulKernel::Product => "matmul",
            MatmulKernel::Norms => "norms",
            MatmulKernel::ThroughNorm { .. } => "through_norm",
        };
        let mut label = format!("longtail.{kernel}.{}", self.a.label());
        if self.reads_b() {
            let _ = write!(label, ".{}", self.b.label());
        }
        if self.kernel != MatmulKernel::Norms {
            let _ = write!(label, ".{}", self.c.label());
        }
        if self.kernel == MatmulKernel::Product {
            let layout = match self.layout {
                Layout::Nt => "nt",
                Layout::Nn => "nn",
                Layout::Tn => "tn",
            };
            let _ = write!(label, ".{layout}.{}", self.tile.label());
        } else {
            let _ = write!(label, ".wg{}", self.tile.workgroup());
        }
        let parts = [
            (self.rows_own(), "own".into()),
            (self.tile.subgroup > 0, format!("sg{}", self.tile.subgroup)),
            (self.cooperative(), format!("{}x{}", self.tile.matrices_m, self.tile.matrices_n)),
            (self.a_factors, "factors_a".into()),
            (self.b_factors, "factors_b".into()),
            (self.a_parts, "parts_a".into()),
            (self.b_parts, "parts_b".into()),
            (self.row_offsets, "row_offsets".into()),
            (self.column_offsets, "column_offsets".into()),
            (self.row_sums, "row_sums".into()),
            (self.shared, "shared".into()),
            (self.kernel == MatmulKernel::ThroughNorm { in_place: true }, "in_place".into()),
        ];
        for (_, part) in parts.iter().filter(|(present, _)| *present) {
            let _ = write!(label, ".{part}");
        }
        label
    }
}

/// The text with what is between the lines `// each NAME` and `// end NAME` as often as `count` says, numbers for the name.
fn repeated(text: &str, name: &str, count: u32) -> String {
    let (first, last) = (format!("// each {name}\n"), format!("// end {name}\n"));
    let mut parts = text.split(&first);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (body, rest) = part.split_once(&last).unwrap_or((part, ""));
        (0..count).for_each(|number| whole.push_str(&body.replace(name, &number.to_string())));
        whole.push_str(rest);
    }
    whole
}
