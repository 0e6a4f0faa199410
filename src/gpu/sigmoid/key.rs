//! What a kernel of the sigmoid family is made of: which one, its terms, and how it reads, writes and binds.

use super::terms::SigmoidTerms;
use crate::batch::TargetKind;
use crate::gpu::shader::{Access, Binding, Cell, Matrices, Storage, name};

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SigmoidDriver {
    /// Targets to row fields; where rows are few, draws and denominator as well.
    Prepare,
    /// Which background rows are drawn.
    Draw,
    /// Row fields that need those of all windows.
    Settle,
    /// Denominator and norm.
    Totals,
    /// Weights from accumulated gradients.
    Refresh,
    /// Accumulates gradients, from the logits.
    ColumnSums,
    /// Accumulates gradients that have been written.
    WrittenSums,
    /// Adds up what [`DownColumns`](Self::DownColumns) has accumulated.
    PartSums,
    /// Loss and gradient, element by element.
    Rows,
    /// The same, and accumulated gradients, by threads that have a column of many rows.
    DownColumns,
    /// The same with the softmax link.
    SoftmaxLink,
    /// From the pieces' losses to the rows', and to sums of many of them.
    LossSums,
    /// The same, to the reduced loss; also what [`PartSums`](Self::PartSums) does.
    Finish,
    /// What a backward pass multiplies rows with.
    Factor,
}

impl SigmoidDriver {
    /// Every kernel.
    pub const ALL: [SigmoidDriver; 14] = [
        SigmoidDriver::Prepare,
        SigmoidDriver::Draw,
        SigmoidDriver::Settle,
        SigmoidDriver::Totals,
        SigmoidDriver::Refresh,
        SigmoidDriver::ColumnSums,
        SigmoidDriver::WrittenSums,
        SigmoidDriver::PartSums,
        SigmoidDriver::Rows,
        SigmoidDriver::DownColumns,
        SigmoidDriver::SoftmaxLink,
        SigmoidDriver::LossSums,
        SigmoidDriver::Finish,
        SigmoidDriver::Factor,
    ];

    fn name(self) -> &'static str {
        match self {
            SigmoidDriver::Prepare => "prepare",
            SigmoidDriver::Draw => "draw",
            SigmoidDriver::Settle => "settle",
            SigmoidDriver::Totals => "totals",
            SigmoidDriver::Refresh => "refresh",
            SigmoidDriver::ColumnSums => "column_sums",
            SigmoidDriver::WrittenSums => "written_sums",
            SigmoidDriver::PartSums => "part_sums",
            SigmoidDriver::Rows => "rows",
            SigmoidDriver::DownColumns => "down_columns",
            SigmoidDriver::SoftmaxLink => "softmax_link",
            SigmoidDriver::LossSums => "loss_sums",
            SigmoidDriver::Finish => "finish",
            SigmoidDriver::Factor => "factor",
        }
    }

    /// Whether the kernel reads the logits.
    pub fn over_logits(self) -> bool {
        self.walks_columns() || self == SigmoidDriver::ColumnSums
    }

    fn walks_columns(self) -> bool {
        matches!(self, SigmoidDriver::Rows | SigmoidDriver::DownColumns | SigmoidDriver::SoftmaxLink)
    }
}

/// Everything that a kernel's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SigmoidKey {
    /// Which kernel.
    pub driver: SigmoidDriver,
    /// Which terms.
    pub terms: SigmoidTerms,
    /// Hard labels, or multi-hot targets.
    pub targets: TargetKind,
    /// How buffers are bound.
    pub storage: Storage,
    /// How logits are read.
    pub logits: Cell,
    /// How the gradient is written.
    pub gradient: Cell,
    /// Whether pairs of logits may lie across two words.
    pub straddle: bool,
    /// Rows per thread: 1 or 4.
    pub lanes: u32,
    /// Threads per workgroup, a power of two.
    pub workgroup: u32,
    /// Whether the kernel makes rows' weights of what their targets add up to ([`SigmoidDriver::Prepare`], where there is
    /// one window).
    pub settles: bool,
    /// Whether it makes those of accumulated gradients, too ([`SigmoidDriver::Prepare`] of labels).
    pub refreshes: bool,
    /// Whether it marks the rows that it draws ([`SigmoidDriver::Draw`]; one that is alone always does).
    pub marks: bool,
    /// Whether one workgroup does all that comes before the rows ([`SigmoidDriver::Prepare`] of labels).
    pub alone: bool,
    /// Whether rows are split over slots.
    pub split: bool,
    /// Whether the largest logit is found.
    pub argmax: bool,
    /// Whether the loss is summed.
    pub sums: bool,
    /// Whether the gradient is written.
    pub writes: bool,
    /// Whether rows have an upstream gradient.
    pub factor_of_rows: bool,
    /// Vectors of four in the class table where it is a uniform block, else 0.
    pub class_vectors: u32,
    /// Columns of each row that a thread holds on chip ([`SigmoidDriver::SoftmaxLink`]), a multiple of 4; 0 reads rows
    /// again.
    pub held: u32,
    /// How often a workgroup goes on to the next sixteen rows ([`SigmoidDriver::DownColumns`], and kernels that add up what
    /// it has left of accumulated gradients), 1 to 8; else 0.
    pub walk: u32,
}

impl SigmoidKey {
    /// A key of a kernel with nothing switched on.
    pub fn new(driver: SigmoidDriver, targets: TargetKind, workgroup: u32) -> Self {
        Self {
            driver,
            terms: SigmoidTerms::default(),
            targets,
            storage: Storage::Separate,
            logits: Cell::F32,
            gradient: Cell::F32,
            straddle: false,
            lanes: 1,
            workgroup,
            settles: false,
            refreshes: false,
            marks: false,
            alone: false,
            split: false,
            argmax: false,
            sums: false,
            writes: false,
            factor_of_rows: false,
            class_vectors: 0,
            held: 0,
            walk: 0,
        }
    }

    pub(super) fn multi_hot(&self) -> bool {
        self.targets == TargetKind::MultiHot
    }

    /// Whether a row loads what only its label asks of accumulated gradients, instead of each column. The kernel that
    /// goes down columns has no row to load it for.
    pub(super) fn positive_of_row(&self) -> bool {
        self.terms.balance && !self.multi_hot() && self.driver.walks_columns()
    }

    /// Whether the kernel leaves what its rows add to accumulated gradients.
    pub(super) fn leaves_parts(&self) -> bool {
        self.terms.balance && self.driver == SigmoidDriver::DownColumns
    }

    /// Whether it is the batch's last, and adds up what has been left.
    pub(super) fn accumulates(&self) -> bool {
        self.driver == SigmoidDriver::Finish && self.walk > 0
    }

    /// How the kernel reaches the caller's matrices.
    pub(crate) fn matrices(&self) -> Matrices {
        let over_logits = self.driver.over_logits();
        Matrices {
            storage: self.storage,
            logits: over_logits.then_some(self.logits),
            gradient: (over_logits && self.writes).then_some(self.gradient),
            may_replace: true,
            straddle: self.straddle && self.writes && self.logits.packed() && self.gradient.packed(),
            walks: self.driver.walks_columns(),
            lanes: self.lanes,
            dense: over_logits && self.multi_hot(),
            upstream: false,
        }
    }

    /// Threads per workgroup.
    pub fn workgroup(&self) -> u32 {
        self.workgroup
    }

    /// Threads with classes of their own in a workgroup of the kernels that accumulate gradients; each has four.
    pub(super) fn columns(&self) -> u32 {
        self.workgroup.min(32)
    }

    /// Columns that a thread takes in one step.
    pub(super) fn width(&self) -> u32 {
        self.matrices().width()
    }

    /// The features that the device must have.
    pub fn features(&self) -> wgpu::Features {
        self.matrices().features()
    }

    /// Bytes of workgroup memory, as declared.
    pub fn workgroup_bytes(&self) -> u32 {
        let lane = 4 * self.lanes;
        let results = lane * (2 * self.workgroup + 2 * if self.argmax { self.workgroup } else { 1 });
        match self.driver {
            SigmoidDriver::Rows => results,
            SigmoidDriver::DownColumns => {
                let groups = 4 * self.walk;
                let argmax = 2 * if self.argmax { self.workgroup } else { 1 };
                // Those of the columns left over, with what they add to both sums.
                let (edges, share) = (if self.width() == 2 { groups } else { 1 }, 4 * lane);
                lane * (groups * (self.workgroup + argmax) + self.workgroup) + edges * (4 * lane + share)
            }
            SigmoidDriver::SoftmaxLink => results + lane * 3 * self.workgroup + 4,
            SigmoidDriver::Prepare if self.multi_hot() => {
                let terms =
                    [self.terms.row_weight, self.terms.row_weight, self.terms.rebalance, self.terms.margin];
                let places = terms.map(|present| if present { self.workgroup } else { 1 });
                16 * (self.workgroup + places.iter().sum::<u32>())
            }
            SigmoidDriver::Prepare if self.alone => self.draw_bytes() + 8 * self.workgroup,
            SigmoidDriver::Draw => self.draw_bytes(),
            SigmoidDriver::Finish if self.accumulates() => (20 + 32) * self.workgroup,
            SigmoidDriver::LossSums | SigmoidDriver::Finish => 20 * self.workgroup,
            SigmoidDriver::Totals => 8 * self.workgroup,
            SigmoidDriver::ColumnSums | SigmoidDriver::WrittenSums | SigmoidDriver::PartSums => {
                32 * self.workgroup
            }
            _ => 0,
        }
    }

    /// Bytes of workgroup memory for draws.
    fn draw_bytes(&self) -> u32 {
        match self.driver == SigmoidDriver::Draw || self.terms.draws {
            true => 4 * self.workgroup + 3 * (4 * (256 + 16) + 12),
            false => 0,
        }
    }

    /// A short readable name.
    pub fn label(&self) -> String {
        let terms = &self.terms;
        // Others are named after no logits and no place.
        let cells = self.driver.over_logits();
        let logits = if cells { self.logits } else { Cell::F32 };
        let storage = if cells { self.storage } else { Storage::Separate };
        let start = format!("longtail.sigmoid.{}.x{}.wg{}", self.driver.name(), self.lanes, self.workgroup);
        let (uniform, held) = (format!("uniform{}", self.class_vectors), format!("held{}", self.held));
        let walk = format!("walk{}", self.walk);
        let parts = [
            (terms.bias, "bias"),
            (terms.bias_on_background, "bias_on_background"),
            (terms.background, "background"),
            (terms.margin, "margin"),
            (terms.margin_summed, "summed"),
            (terms.negative_scale, "negative_scale"),
            (terms.positive_weight, "positive_weight"),
            (terms.class_weights, "weights"),
            (terms.row_weight, "row_weight"),
            (terms.rebalance, "rebalance"),
            (terms.norm, "norm"),
            (terms.sides, "sides"),
            (terms.balance, "balance"),
            (terms.gate, "gate"),
            (terms.gate_draws, "gate_draws"),
            (terms.gate_given, "gate_given"),
            (terms.suppression, "suppression"),
            (terms.draws, "draws"),
            (terms.weights_given, "weights_given"),
            (terms.focal, "focal"),
            (terms.focal_square, "square"),
            (self.multi_hot(), "multi_hot"),
            (self.settles, "settles"),
            (self.refreshes, "refreshes"),
            (self.marks, "marks"),
            (self.alone, "alone"),
            (self.split, "split"),
            (self.argmax, "argmax"),
            (self.sums, "sums"),
            (self.writes, "writes"),
            (self.factor_of_rows, "upstream"),
            (self.class_vectors > 0, uniform.as_str()),
            (self.held > 0, held.as_str()),
            (self.walk > 0, walk.as_str()),
        ];
        name(start, (logits, self.gradient, self.straddle), &parts, storage)
    }

    /// The bindings of group 0.
    pub fn bindings(&self) -> Vec<Binding> {
        use Access::{Read, ReadWrite, Uniform};
        let mut bindings = vec![Binding { number: 0, name: "window", access: Uniform }];
        let mut push = |number, name, access| bindings.push(Binding { number, name, access });
        match self.driver {
            SigmoidDriver::Prepare => {
                push(1, "scalars", ReadWrite);
                push(2, "rows_out", ReadWrite);
                push(3, "classes", if self.refreshes { ReadWrite } else { Read });
                push(4, if self.multi_hot() { "dense" } else { "labels" }, Read);
                if self.alone && self.terms.draws {
                    push(5, "quotas", Read);
                }
                if self.refreshes {
                    push(6, "gradient_sums", Read);
                }
                push(7, "row_weights", Read);
                if self.class_vectors > 0 {
                    push(11, "class_table", Uniform);
                }
            }
            SigmoidDriver::Draw => {
                push(1, "scalars", ReadWrite);
                push(2, "rows_out", ReadWrite);
                push(4, "all_labels", Read);
                push(5, "quotas", Read);
            }
            SigmoidDriver::Settle => {
                push(1, "scalars", Read);
                push(2, "rows_out", ReadWrite);
            }
            SigmoidDriver::Totals => {
                push(1, "scalars", ReadWrite);
                push(2, "rows_in", Read);
            }
            SigmoidDriver::Refresh => {
                push(3, "classes", ReadWrite);
                push(6, "gradient_sums", Read);
            }
            SigmoidDriver::WrittenSums => {
                push(1, "scalars", Read);
                push(5, "written", Read);
                push(6, "gradient_sums", ReadWrite);
                if self.multi_hot() {
                    push(7, "dense", Read);
                }
            }
            SigmoidDriver::PartSums => {
                push(5, "gradient_parts", Read);
                push(6, "gradient_sums", ReadWrite);
            }
            SigmoidDriver::LossSums | SigmoidDriver::Finish => {
                push(1, "scalars", ReadWrite);
                push(2, "rows_in", Read);
                push(4, "saved", ReadWrite);
                if self.driver == SigmoidDriver::LossSums {
                    push(9, "sums", ReadWrite);
                }
                if self.accumulates() {
                    push(5, "gradient_parts", Read);
                    push(6, "gradient_sums", ReadWrite);
                }
            }
            SigmoidDriver::Factor => {
                push(1, "scalars", Read);
                push(2, "rows_out", ReadWrite);
                push(8, "upstream", Read);
            }
            SigmoidDriver::ColumnSums
            | SigmoidDriver::Rows
            | SigmoidDriver::DownColumns
            | SigmoidDriver::SoftmaxLink => {
                push(1, "scalars", Read);
                push(2, "rows_in", Read);
                push(3, "classes", Read);
                push(4, "saved", ReadWrite);
            }
        }
        if self.driver.over_logits() {
            let matrices = self.matrices();
            matrices.push_bindings(&mut bindings);
            let input = if matrices.shared() { ReadWrite } else { Read };
            let mut push = |number, name, access| bindings.push(Binding { number, name, access });
            if self.driver == SigmoidDriver::ColumnSums {
                push(6, "gradient_sums", ReadWrite);
            }
            if self.leaves_parts() {
                push(8, "gradient_parts", ReadWrite);
            }
            if self.terms.takes_gates() {
                push(9, "gates", input);
            }
            if self.class_vectors > 0 {
                push(11, "class_table", Uniform);
            }
        }
        if self.reads_spec() {
            bindings.push(Binding { number: 10, name: "spec", access: Uniform });
        }
        bindings.sort_by_key(|binding| binding.number);
        bindings
    }

    pub(super) fn reads_spec(&self) -> bool {
        let closes = matches!(self.driver, SigmoidDriver::LossSums | SigmoidDriver::Finish);
        self.accumulates() || !(closes || self.driver == SigmoidDriver::Factor)
    }
}
