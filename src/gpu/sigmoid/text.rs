//! The kernels of the sigmoid family as text: a generated header and whole files of `shaders/`.

use super::key::{SigmoidDriver, SigmoidKey};
use super::terms::Column;
use crate::gpu::shader::{File, shader, write_constants};
use std::fmt::Write as _;

/// How background rows are drawn, and marked.
const DRAWS: [File; 4] = [
    shader!("step_draws.wgsl"),
    shader!("sigmoid/draw_of.wgsl"),
    shader!("sigmoid/drawn.wgsl"),
    shader!("sigmoid/draw_rows.wgsl"),
];

impl SigmoidKey {
    /// The kernel's text: neutral WGSL, entry point `main`.
    pub fn wgsl(&self) -> String {
        let mut text = self.header();
        for (name, file) in self.files() {
            let _ = write!(text, "\n// ---- {name}\n{file}");
        }
        text
    }

    fn header(&self) -> String {
        let terms = &self.terms;
        let mut text = String::from("// ---- generated header\n");
        let matrices = self.matrices();
        matrices.write_types(&mut text);
        let columns = terms.columns();
        let place =
            |column: Column| columns.iter().position(|other| *other == column).unwrap_or_default() as u64;
        // Places that are there for each thread only where something needs them.
        let threads_if = |needed: bool| u64::from(if needed { self.workgroup } else { 1 });
        let numbers = [
            ("WG", u64::from(self.workgroup)),
            ("WG_INDEX", threads_if(self.argmax)),
            ("WG_RHO", threads_if(terms.row_weight)),
            ("WG_REBALANCE", threads_if(terms.rebalance)),
            ("WG_MARGIN", threads_if(terms.margin)),
            ("COLUMNS", u64::from(self.columns())),
            ("CLASS_VECTORS", u64::from(self.class_vectors)),
            ("HELD", u64::from(self.held.max(1))),
            ("WALK", u64::from(self.walk.max(1))),
            ("SAVED_EXTRA", super::saved_extra(self.gradient)),
            ("COLUMN_BIAS", place(Column::Bias)),
            ("COLUMN_MARGIN", place(Column::Margin)),
            ("COLUMN_WEIGHT", place(Column::Weight)),
            ("COLUMN_POSITIVE_WEIGHT", place(Column::PositiveWeight)),
            ("COLUMN_INVERSE_COUNT", place(Column::InverseCount)),
            ("COLUMN_RHO", place(Column::Rho)),
            ("COLUMN_POSITIVE", place(Column::Positive)),
            ("COLUMN_NEGATIVE", place(Column::Negative)),
            ("COLUMN_TAIL", place(Column::Tail)),
            ("COLUMN_GROUP", place(Column::Group)),
        ];
        let switches = [
            ("HAS_BIAS", terms.bias),
            ("BIAS_ON_BACKGROUND", terms.bias_on_background),
            ("HAS_BACKGROUND", terms.background),
            ("HAS_MARGIN", terms.margin),
            ("MARGIN_SUMMED", terms.margin_summed),
            ("HAS_NEGATIVE_SCALE", terms.negative_scale),
            ("HAS_POSITIVE_WEIGHT", terms.positive_weight),
            ("HAS_CLASS_WEIGHTS", terms.class_weights),
            ("HAS_RHO", terms.row_weight),
            ("HAS_REBALANCE", terms.rebalance),
            ("HAS_NORM", terms.norm),
            ("HAS_SIDES", terms.sides),
            ("HAS_BALANCE", terms.balance),
            ("POSITIVE_OF_ROW", self.positive_of_row()),
            ("HAS_GATE", terms.gate),
            ("GATE_DRAWS", terms.gate_draws),
            ("GATE_GIVEN", terms.gate_given),
            ("HAS_SUPPRESSION", terms.suppression),
            ("HAS_DRAWS", terms.draws),
            ("WEIGHTS_GIVEN", terms.weights_given),
            ("HAS_FOCAL", terms.focal),
            ("FOCAL_SQUARE", terms.focal_square),
            ("WEIGHTS_BY_COLUMN", terms.weights_by_column()),
            ("MULTI_HOT", self.multi_hot()),
            ("SETTLES", self.settles),
            ("REFRESHES", self.refreshes),
            ("MARKS", self.marks || self.alone),
            ("SPLIT", self.split),
            ("HOLDS", self.held > 0),
            ("WANT_ARGMAX", self.argmax),
            ("SUMS", self.sums),
            ("WRITE_GRADIENT", self.writes),
            ("ACCUMULATES", self.leaves_parts()),
            ("FACTOR_OF_ROWS", self.factor_of_rows),
        ];
        let switches: Vec<_> = switches.into_iter().chain(matrices.switches()).collect();
        write_constants(&mut text, &numbers, &switches);
        text
    }

    /// The files after the header, in order.
    fn files(&self) -> Vec<File> {
        let mut files = vec![shader!("window.wgsl"), shader!("fields.wgsl"), shader!("sigmoid/fields.wgsl")];
        if self.reads_spec() {
            files.push(shader!("sigmoid/spec.wgsl"));
        }
        if self.driver.over_logits() {
            self.row_files(&mut files);
            return files;
        }
        files.extend([shader!("scalar.wgsl"), shader!("prelude.wgsl")]);
        match self.driver {
            SigmoidDriver::Prepare => {
                files.extend([
                    shader!("threefry.wgsl"),
                    shader!("start_pass.wgsl"),
                    shader!("sigmoid/row_fields.wgsl"),
                    shader!("sigmoid/rebalance.wgsl"),
                    shader!("sigmoid/settled.wgsl"),
                ]);
                if self.multi_hot() {
                    files.extend([self.table_file(), shader!("sigmoid/prepare_multi_hot.wgsl")]);
                    return files;
                }
                files.push(match self.refreshes {
                    true => shader!("sigmoid/refreshed.wgsl"),
                    false => shader!("sigmoid/no_refresh.wgsl"),
                });
                files.push(shader!("sigmoid/prepare_row.wgsl"));
                match (self.alone, self.terms.draws) {
                    (false, _) => files.push(shader!("sigmoid/prepare.wgsl")),
                    (true, true) => files.extend(DRAWS),
                    (true, false) => files.push(shader!("sigmoid/no_draws.wgsl")),
                }
                if self.alone {
                    files.extend([shader!("sigmoid/total_rows.wgsl"), shader!("sigmoid/prepare_alone.wgsl")]);
                }
            }
            SigmoidDriver::Draw => {
                files.extend([shader!("threefry.wgsl"), shader!("sigmoid/row_fields.wgsl")]);
                files.extend(DRAWS);
                files.push(shader!("sigmoid/draw.wgsl"));
            }
            SigmoidDriver::Settle => files.extend([
                shader!("threefry.wgsl"),
                shader!("step_draws.wgsl"),
                shader!("sigmoid/draw_of.wgsl"),
                shader!("sigmoid/row_fields.wgsl"),
                shader!("sigmoid/drawn.wgsl"),
                shader!("sigmoid/rebalance.wgsl"),
                shader!("sigmoid/settled.wgsl"),
                shader!("sigmoid/settle.wgsl"),
            ]),
            SigmoidDriver::Totals => {
                files.extend([shader!("sigmoid/total_rows.wgsl"), shader!("sigmoid/totals.wgsl")]);
            }
            SigmoidDriver::Refresh => {
                files.extend([shader!("sigmoid/refreshed.wgsl"), shader!("sigmoid/refresh.wgsl")]);
            }
            SigmoidDriver::WrittenSums => {
                files.push(match self.multi_hot() {
                    true => shader!("bind_dense.wgsl"),
                    false => shader!("bind_no_dense.wgsl"),
                });
                files.extend([
                    shader!("sigmoid/column_tree.wgsl"),
                    shader!("sigmoid/written_sums.wgsl"),
                    shader!("sigmoid/column_groups.wgsl"),
                ]);
            }
            SigmoidDriver::PartSums => {
                files.extend([
                    shader!("sigmoid/column_tree.wgsl"),
                    shader!("sigmoid/part_sums.wgsl"),
                    shader!("sigmoid/column_groups.wgsl"),
                ]);
            }
            SigmoidDriver::LossSums => files.extend([
                shader!("sigmoid/loss_of_pieces.wgsl"),
                shader!("loss_sum.wgsl"),
                shader!("sum_tree.wgsl"),
                shader!("loss_sums.wgsl"),
            ]),
            SigmoidDriver::Finish => {
                files.extend([
                    shader!("sigmoid/loss_of_pieces.wgsl"),
                    shader!("loss_sum.wgsl"),
                    shader!("sum_tree.wgsl"),
                    shader!("close_batch.wgsl"),
                ]);
                match self.accumulates() {
                    false => files.push(shader!("finish.wgsl")),
                    true => files.extend([
                        shader!("sigmoid/column_tree.wgsl"),
                        shader!("sigmoid/part_sums.wgsl"),
                        shader!("sigmoid/finish_with_columns.wgsl"),
                    ]),
                }
            }
            _ => files.push(shader!("sigmoid/factor.wgsl")),
        }
        files
    }

    /// How columns of the class table are read.
    fn table_file(&self) -> File {
        match self.class_vectors {
            0 => shader!("sigmoid/classes_in_storage.wgsl"),
            _ => shader!("sigmoid/classes_in_uniform.wgsl"),
        }
    }

    fn row_files(&self, files: &mut Vec<File>) {
        files.push(shader!("bind_plan.wgsl"));
        let matrices = self.matrices();
        matrices.push_files(files);
        files.push(match (self.terms.takes_gates(), matrices.shared()) {
            (false, _) => shader!("sigmoid/bind_no_gates.wgsl"),
            (true, false) => shader!("sigmoid/bind_gates.wgsl"),
            (true, true) => shader!("sigmoid/bind_gates_shared.wgsl"),
        });
        files.push(match self.lanes {
            1 => shader!("sigmoid/gates1.wgsl"),
            _ => shader!("sigmoid/gates4.wgsl"),
        });
        files.extend([
            shader!("prelude.wgsl"),
            shader!("threefry.wgsl"),
            shader!("step_draws.wgsl"),
            shader!("gates.wgsl"),
            shader!("scan.wgsl"),
            shader!("sigmoid/row.wgsl"),
            self.table_file(),
            shader!("sigmoid/columns_of.wgsl"),
            shader!("sigmoid/weights.wgsl"),
        ]);
        match self.driver {
            SigmoidDriver::ColumnSums => {
                files.extend([
                    shader!("sigmoid/element.wgsl"),
                    shader!("sigmoid/column_tree.wgsl"),
                    shader!("sigmoid/column_sums.wgsl"),
                    shader!("sigmoid/column_groups.wgsl"),
                ]);
            }
            SigmoidDriver::SoftmaxLink => {
                files.extend([
                    shader!("opened_again.wgsl"),
                    shader!("sigmoid/result.wgsl"),
                    shader!("sigmoid/sum.wgsl"),
                    shader!("sigmoid/softmax_link.wgsl"),
                    shader!("sigmoid/link_series.wgsl"),
                    match self.multi_hot() {
                        true => shader!("sigmoid/link_positives.wgsl"),
                        false => shader!("sigmoid/link_label.wgsl"),
                    },
                ]);
            }
            SigmoidDriver::DownColumns => files.extend([
                shader!("sigmoid/element.wgsl"),
                match self.leaves_parts() {
                    true => shader!("sigmoid/shares.wgsl"),
                    false => shader!("sigmoid/no_shares.wgsl"),
                },
                shader!("sigmoid/result.wgsl"),
                shader!("sigmoid/down_edges.wgsl"),
                shader!("sigmoid/down_columns.wgsl"),
            ]),
            _ => files.extend([
                shader!("sigmoid/element.wgsl"),
                shader!("sigmoid/result.wgsl"),
                shader!("sigmoid/sum.wgsl"),
                shader!("sigmoid/rows.wgsl"),
            ]),
        }
    }
}
