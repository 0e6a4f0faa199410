//! The text of the grouped family's kernels: a generated header and whole files, most of them of `shaders/grouped/`.
//!
//! [`GroupedKey::wgsl`] is a pure function of the key, and no float is part of it.

use std::fmt::Write as _;

use crate::gpu::shader::{
    Access, Binding, Cell, File, Matrices, SAVED_OUTPUTS, Storage, name, shader as common, write_constants,
};

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupedDriver {
    /// Labels and row weights to row fields.
    Prepare,
    /// Counts of rows, for each segment and for the batch.
    Tally,
    /// The drawn rows of others, and the denominators.
    Draw,
    /// Losses, and what gradients need.
    Statistics,
    /// The gradient.
    Gradient,
    /// Both in one.
    Rows,
    /// Sums for the reduced loss, of many rows.
    LossSums,
    /// The reduced loss and the status.
    Finish,
}

impl GroupedDriver {
    /// Every kernel.
    pub const ALL: [GroupedDriver; 8] = [
        GroupedDriver::Prepare,
        GroupedDriver::Tally,
        GroupedDriver::Draw,
        GroupedDriver::Statistics,
        GroupedDriver::Gradient,
        GroupedDriver::Rows,
        GroupedDriver::LossSums,
        GroupedDriver::Finish,
    ];

    fn name(self) -> &'static str {
        match self {
            GroupedDriver::Prepare => "prepare",
            GroupedDriver::Tally => "tally",
            GroupedDriver::Draw => "draw",
            GroupedDriver::Statistics => "statistics",
            GroupedDriver::Gradient => "gradient",
            GroupedDriver::Rows => "rows",
            GroupedDriver::LossSums => "loss_sums",
            GroupedDriver::Finish => "finish",
        }
    }

    /// Whether the kernel reads the logits.
    fn over_logits(self) -> bool {
        self.has_statistics() || self.writes()
    }

    fn has_statistics(self) -> bool {
        matches!(self, GroupedDriver::Statistics | GroupedDriver::Rows)
    }

    /// Whether the kernel writes the gradient.
    fn writes(self) -> bool {
        matches!(self, GroupedDriver::Gradient | GroupedDriver::Rows)
    }
}

/// Which terms a grouped loss has, as far as kernels differ by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GroupedTerms {
    /// Whether some segment has a column of others.
    pub others: bool,
    /// Whether rows of others are drawn on the device.
    pub drawn: bool,
    /// Whether weights of rows and segments, or the gates of a tree, are given.
    pub given: bool,
    /// Whether every segment has a denominator of its own.
    pub per_group: bool,
    /// Whether there is tree sampling.
    pub tree: bool,
}

impl GroupedTerms {
    /// Whether anything depends on counts of rows for each segment.
    pub(crate) fn per_segment(&self) -> bool {
        self.drawn || self.per_group
    }
}

/// Everything that the text of one of the grouped family's kernels depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupedKey {
    /// Which kernel.
    pub driver: GroupedDriver,
    /// Which terms.
    pub terms: GroupedTerms,
    /// How buffers are bound.
    pub storage: Storage,
    /// How logits are read.
    pub logits: Cell,
    /// How the gradient is written.
    pub gradient: Cell,
    /// Whether pairs of logits may lie across two words, where both matrices are packed and pairs follow the
    /// gradient's.
    pub straddle: bool,
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Nodes of a tree that workgroup memory has room for; 0 leaves them to the tally's buffer.
    pub nodes: u32,
    /// Whether the gradient is multiplied by an upstream one.
    pub upstream: bool,
    /// Whether the largest logit is found.
    pub argmax: bool,
    /// Whether sums are of sums instead of rows ([`GroupedDriver::Finish`]).
    pub of_sums: bool,
}

macro_rules! shader {
    ($name:literal) => {
        (concat!("grouped/", $name), include_str!(concat!("../../../shaders/grouped/", $name)))
    };
}

/// Fields of `saved` that a tree's part takes.
const TREE_FIELDS: u64 = 3;
/// Fields of `saved` of one slot of a row (`shaders/grouped/fields.wgsl`).
pub(super) const SLOT_FIELDS: u64 = 5;

/// The first field of `saved` after the outputs and a packed gradient's edges.
fn extra(gradient: Cell) -> u64 {
    SAVED_OUTPUTS + if gradient.packed() { 2 } else { 0 }
}

impl GroupedKey {
    /// A key of a kernel with nothing switched on.
    pub fn new(driver: GroupedDriver, terms: GroupedTerms, workgroup: u32) -> Self {
        Self {
            driver,
            terms,
            storage: Storage::Separate,
            logits: Cell::F32,
            gradient: Cell::F32,
            straddle: false,
            workgroup,
            nodes: 0,
            upstream: false,
            argmax: false,
            of_sums: false,
        }
    }

    /// Fields of `saved` before the slots.
    pub(super) fn fixed_fields(&self) -> u64 {
        extra(self.gradient) + 1 + if self.terms.tree { TREE_FIELDS } else { 0 }
    }

    /// Whether the caller's `[N, G]` matrix is bound: weights to the kernels that look at rows and segments, a tree's gates
    /// to those that walk it.
    fn binds_dense(&self) -> bool {
        self.terms.given
            && match self.driver {
                GroupedDriver::Tally => !self.terms.tree,
                GroupedDriver::Gradient => self.terms.tree,
                GroupedDriver::Statistics | GroupedDriver::Rows => true,
                _ => false,
            }
    }

    /// Whether what is drawn, or counted, is looked at over the logits.
    fn draws_rows(&self) -> bool {
        !(self.terms.tree && self.terms.given)
    }

    fn reads_tally(&self) -> bool {
        self.driver.has_statistics() || self.walks_tree()
    }

    /// Whether it goes down and up a tree.
    fn walks_tree(&self) -> bool {
        self.driver.over_logits() && self.terms.tree
    }

    /// How the kernel reaches the caller's matrices.
    pub(crate) fn matrices(&self) -> Matrices {
        let writes = self.driver.writes();
        Matrices {
            storage: self.storage,
            logits: self.driver.over_logits().then_some(self.logits),
            gradient: writes.then_some(self.gradient),
            may_replace: true,
            straddle: self.straddle,
            walks: writes && !self.terms.tree,
            lanes: 1,
            dense: self.driver.over_logits() && self.binds_dense(),
            upstream: writes && self.upstream,
        }
    }

    /// Columns that a thread takes in one step: 2 where two elements share a word.
    pub fn width(&self) -> u32 {
        self.matrices().width()
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        self.matrices().features()
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.workgroup
    }

    /// Bytes of workgroup memory, as declared.
    pub fn workgroup_bytes(&self) -> u32 {
        match self.driver {
            GroupedDriver::Tally => 12 * self.workgroup,
            GroupedDriver::Draw => 4 * 256 + 12,
            driver if driver.over_logits() => self.row_bytes(),
            GroupedDriver::LossSums | GroupedDriver::Finish => 20 * self.workgroup,
            _ => 0,
        }
    }

    /// Those of the kernels over rows: the row's number, then a mass, a scan and four numbers of the row; in a tree the
    /// nodes' numbers and three of a path, and a sum for each thread.
    fn row_bytes(&self) -> u32 {
        let statistics =
            if self.driver.has_statistics() || self.terms.tree { 20 * self.workgroup + 16 } else { 0 };
        let tree = if self.terms.tree { 4 * self.nodes + 20 } else { 0 };
        let slopes = if self.terms.tree && self.driver.writes() { 4 * self.workgroup } else { 0 };
        4 + statistics + tree + slopes
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite, Uniform};
        let mut bindings = Vec::new();
        let mut push = |number, name, access| bindings.push(Binding { number, name, access });
        push(0, "window", Uniform);
        match self.driver {
            GroupedDriver::Prepare => {
                push(1, "scalars", ReadWrite);
                push(2, "rows_out", ReadWrite);
                push(4, "labels", Read);
                push(7, "row_weights", Read);
            }
            GroupedDriver::Tally => {
                push(2, "rows_in", Read);
                push(3, "tables", Read);
                push(5, "tally", ReadWrite);
            }
            GroupedDriver::Draw => {
                push(1, "scalars", Read);
                push(3, "tables", Read);
                push(4, "all_labels", Read);
                push(5, "tally", ReadWrite);
            }
            GroupedDriver::LossSums | GroupedDriver::Finish => {
                push(1, "scalars", ReadWrite);
                if !self.of_sums {
                    push(2, "rows_in", Read);
                    push(3, "saved", Read);
                }
                match (self.driver, self.of_sums) {
                    (GroupedDriver::LossSums, _) => push(9, "sums", ReadWrite),
                    (_, true) => push(9, "sums", Read),
                    _ => {}
                }
            }
            _ => {
                if self.draws_rows() {
                    push(1, "scalars", Read);
                }
                push(2, "rows_in", Read);
                push(3, "tables", Read);
                push(4, "saved", ReadWrite);
            }
        }
        if self.binds_dense() && !self.driver.over_logits() {
            push(7, "dense", Read);
        }
        self.matrices().push_bindings(&mut bindings);
        if self.reads_tally() {
            let access = if self.walks_tree() && self.nodes == 0 { ReadWrite } else { Read };
            bindings.push(Binding { number: 9, name: "tally", access });
        }
        if !matches!(self.driver, GroupedDriver::LossSums | GroupedDriver::Finish) {
            bindings.push(Binding { number: 10, name: "spec", access: Uniform });
        }
        bindings
    }

    /// The constants that make this kernel of the files.
    fn header(&self) -> String {
        let mut text = String::from("// ---- generated header\n");
        let matrices = self.matrices();
        matrices.write_types(&mut text);
        let numbers = [
            ("WG", u64::from(self.workgroup)),
            ("NODES", u64::from(self.nodes)),
            ("SAVED_EXTRA", extra(self.gradient)),
            ("TREE_FIELDS", if self.terms.tree { TREE_FIELDS } else { 0 }),
        ];
        let terms = &self.terms;
        let switches = [
            ("HAS_OTHERS", terms.others),
            ("DRAWN", terms.drawn),
            ("GIVEN", terms.given && (self.binds_dense() || self.driver == GroupedDriver::Draw)),
            ("PER_GROUP", terms.per_group),
            ("PER_SEGMENT", terms.per_segment()),
            ("HAS_TREE", terms.tree),
            ("STATISTICS", self.driver.has_statistics()),
            ("WRITES", self.driver.writes()),
            ("WANT_ARGMAX", self.argmax),
        ];
        let switches: Vec<_> = switches.into_iter().chain(matrices.switches()).collect();
        write_constants(&mut text, &numbers, &switches);
        text
    }

    /// The files after the header, in order.
    fn files(&self) -> Vec<File> {
        let mut files = vec![common!("window.wgsl"), common!("fields.wgsl"), shader!("fields.wgsl")];
        if matches!(self.driver, GroupedDriver::LossSums | GroupedDriver::Finish) {
            self.loss_files(&mut files);
            return files;
        }
        files.push(shader!("spec.wgsl"));
        match self.driver.over_logits() {
            true => self.row_files(&mut files),
            false => self.field_files(&mut files),
        }
        files
    }

    fn loss_files(&self, files: &mut Vec<File>) {
        files.extend([common!("scalar.wgsl"), common!("prelude.wgsl")]);
        files.push(match self.of_sums {
            true => common!("loss_of_sums.wgsl"),
            false => shader!("loss_of_row.wgsl"),
        });
        files.extend([common!("loss_sum.wgsl"), common!("sum_tree.wgsl")]);
        match self.driver {
            GroupedDriver::LossSums => files.push(common!("loss_sums.wgsl")),
            _ => files.extend([common!("close_batch.wgsl"), common!("finish.wgsl")]),
        }
    }

    /// Kernels that look at fields of rows.
    fn field_files(&self, files: &mut Vec<File>) {
        files.extend([common!("scalar.wgsl"), common!("prelude.wgsl")]);
        let weights = match self.binds_dense() {
            true => vec![common!("bind_dense.wgsl"), shader!("weights_given.wgsl")],
            false => vec![shader!("weights_one.wgsl")],
        };
        match self.driver {
            GroupedDriver::Prepare => {
                files.extend([common!("threefry.wgsl"), shader!("labels.wgsl"), shader!("prepare.wgsl")]);
            }
            GroupedDriver::Tally => {
                files.extend([shader!("bind_tables.wgsl"), shader!("tables.wgsl")]);
                files.extend(weights);
                files.push(shader!("tally.wgsl"));
            }
            _ => files.extend([
                common!("threefry.wgsl"),
                common!("step_draws.wgsl"),
                shader!("row_draws.wgsl"),
                shader!("labels.wgsl"),
                shader!("bind_tables.wgsl"),
                shader!("tables.wgsl"),
                shader!("draw.wgsl"),
            ]),
        }
    }

    /// Kernels over rows: the matrices, then the row, then the kernel.
    fn row_files(&self, files: &mut Vec<File>) {
        files.push(shader!("bind_plan.wgsl"));
        self.matrices().push_files(files);
        files.push(common!("prelude.wgsl"));
        if self.draws_rows() {
            files.extend([shader!("bind_scalars.wgsl"), common!("threefry.wgsl")]);
            files.extend([common!("step_draws.wgsl"), shader!("row_draws.wgsl")]);
        } else {
            files.push(shader!("no_row_draws.wgsl"));
        }
        files.extend([
            shader!("bind_tables.wgsl"),
            shader!("tables.wgsl"),
            shader!("row.wgsl"),
            common!("opened_again.wgsl"),
        ]);
        match self.terms.tree {
            true => self.tree_files(files),
            false => self.flat_files(files),
        }
    }

    fn flat_files(&self, files: &mut Vec<File>) {
        match self.driver.has_statistics() {
            true => files.extend([
                shader!("bind_tally.wgsl"),
                shader!("mass.wgsl"),
                shader!("scan.wgsl"),
                shader!("close.wgsl"),
                shader!("statistics.wgsl"),
            ]),
            false => files.push(shader!("no_statistics.wgsl")),
        }
        match self.driver.writes() {
            true => files.extend([shader!("slope.wgsl"), shader!("edges.wgsl"), shader!("gradient.wgsl")]),
            false => files.push(shader!("no_gradient_of_row.wgsl")),
        }
        files.push(shader!("flat.wgsl"));
    }

    fn tree_files(&self, files: &mut Vec<File>) {
        files.extend(match self.nodes {
            0 => [shader!("bind_tally_shared.wgsl"), shader!("scores_in_tally.wgsl")],
            _ => [shader!("bind_tally.wgsl"), shader!("scores_on_chip.wgsl")],
        });
        files.extend([
            if self.binds_dense() { shader!("gates_given.wgsl") } else { shader!("gates_drawn.wgsl") },
            shader!("mass.wgsl"),
            shader!("scan.wgsl"),
            shader!("close.wgsl"),
            shader!("nodes.wgsl"),
            shader!("descend.wgsl"),
        ]);
        match (self.driver.writes(), self.gradient.packed()) {
            (false, _) => files.push(shader!("no_ascend.wgsl")),
            (true, packed) => files.extend([
                shader!("slope.wgsl"),
                if packed { shader!("half_words.wgsl") } else { shader!("no_half_words.wgsl") },
                shader!("ascend.wgsl"),
            ]),
        }
        files.push(shader!("tree.wgsl"));
    }

    /// The kernel's text: neutral WGSL, entry point `main`.
    pub fn wgsl(&self) -> String {
        let mut text = self.header();
        for (name, file) in self.files() {
            let _ = write!(text, "\n// ---- {name}\n{file}");
        }
        text
    }

    /// A short readable name: the label of the pipeline.
    pub fn label(&self) -> String {
        let terms = &self.terms;
        let nodes = format!("nodes{}", self.nodes);
        let start = format!("longtail.grouped.{}.wg{}", self.driver.name(), self.workgroup);
        let parts = [
            (self.nodes > 0, nodes.as_str()),
            (terms.others, "others"),
            (terms.drawn, "drawn"),
            (terms.given, "given"),
            (terms.per_group, "per_group"),
            (terms.tree, "tree"),
            (self.upstream, "upstream"),
            (self.argmax, "argmax"),
            (self.of_sums, "of_sums"),
        ];
        name(start, (self.logits, self.gradient, self.straddle), &parts, self.storage)
    }
}
