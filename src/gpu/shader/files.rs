//! Which files of `shaders/` make which kernel.

use super::{Driver, KernelKey};

/// The name and the text of one file.
pub(crate) type File = (&'static str, &'static str);

macro_rules! shader {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../shaders/", $name)))
    };
}
pub(crate) use shader;

impl KernelKey {
    /// The files after the header, in order.
    pub(super) fn files(&self) -> Vec<File> {
        let mut files = vec![shader!("window.wgsl"), shader!("fields.wgsl"), shader!("softmax_fields.wgsl")];
        if self.reads_spec() {
            files.push(shader!("softmax_spec.wgsl"));
        }
        match self.driver.over_rows() {
            true => self.row_files(&mut files),
            false => self.field_files(&mut files),
        }
        files
    }

    /// Kernels that look at fields of rows or classes.
    fn field_files(&self, files: &mut Vec<File>) {
        files.extend([shader!("scalar.wgsl"), shader!("prelude.wgsl")]);
        let share = match self.of_sums {
            true => shader!("share_of_sums.wgsl"),
            false => shader!("share_of_row.wgsl"),
        };
        let loss = match self.of_sums {
            true => shader!("loss_of_sums.wgsl"),
            false => shader!("loss_of_row.wgsl"),
        };
        if matches!(self.driver, Driver::LossSums | Driver::Finish) && !self.of_sums {
            files.push(shader!("reduced_is_loss.wgsl"));
        }
        match self.driver {
            Driver::Prepare => {
                files.extend([shader!("threefry.wgsl"), shader!("start_pass.wgsl"), shader!("prepare.wgsl")]);
            }
            Driver::ShareSums => {
                files.extend([
                    shader!("share_sum.wgsl"),
                    share,
                    shader!("sum_tree.wgsl"),
                    shader!("share_sums.wgsl"),
                ]);
            }
            Driver::Denominator => {
                files.extend([
                    shader!("share_sum.wgsl"),
                    share,
                    shader!("sum_tree.wgsl"),
                    shader!("denominator.wgsl"),
                ]);
            }
            Driver::LossSums => files.extend([
                shader!("loss_sum.wgsl"),
                loss,
                shader!("sum_tree.wgsl"),
                shader!("loss_sums.wgsl"),
            ]),
            Driver::CountLabels => files.push(shader!("count_labels.wgsl")),
            Driver::RefreshCounts => files.push(shader!("refresh_counts.wgsl")),
            Driver::Adopt => {
                files.extend([
                    shader!("bind_statistics.wgsl"),
                    shader!("record.wgsl"),
                    shader!("adopt.wgsl"),
                ]);
            }
            Driver::Stitch => {
                files.extend([self.matrices().gradient_binding(), shader!("stitch.wgsl")]);
            }
            _ => files.extend([
                shader!("loss_sum.wgsl"),
                loss,
                shader!("sum_tree.wgsl"),
                shader!("close_batch.wgsl"),
                shader!("finish.wgsl"),
            ]),
        }
    }

    /// Kernels over rows: the matrices, then the row, then the kernel.
    fn row_files(&self, files: &mut Vec<File>) {
        files.push(shader!("bind_plan.wgsl"));
        self.matrices().push_files(files);
        files.extend([
            shader!("prelude.wgsl"),
            shader!("terms.wgsl"),
            shader!("threefry.wgsl"),
            shader!("step_draws.wgsl"),
            shader!("gates.wgsl"),
            shader!("scan.wgsl"),
            shader!("row.wgsl"),
            shader!("label_column.wgsl"),
            shader!("mass.wgsl"),
            shader!("label_loss.wgsl"),
            shader!("write_row.wgsl"),
        ]);
        let slots = match self.sharded {
            true => shader!("slots_of_shards.wgsl"),
            false => shader!("slots_own.wgsl"),
        };
        match self.driver {
            Driver::RowStream => files.extend([
                shader!("workgroup.wgsl"),
                shader!("opened_again.wgsl"),
                shader!("close_row.wgsl"),
                shader!("visit.wgsl"),
                shader!("first_pass.wgsl"),
                shader!("compensate.wgsl"),
                shader!("no_column_term.wgsl"),
                shader!("gradient_pass.wgsl"),
                shader!("row_stream.wgsl"),
            ]),
            Driver::RowChip => files.extend([
                shader!("workgroup.wgsl"),
                shader!("opened_again.wgsl"),
                shader!("close_row.wgsl"),
                shader!("no_column_term.wgsl"),
                shader!("gradient_pass.wgsl"),
                shader!("row_chip.wgsl"),
            ]),
            Driver::RowsAndColumns => files.extend([
                shader!("workgroup.wgsl"),
                shader!("close_row.wgsl"),
                shader!("visit.wgsl"),
                shader!("lade/first_column_beside.wgsl"),
                shader!("lade/table.wgsl"),
                shader!("lade/rows_and_columns.wgsl"),
            ]),
            Driver::LabelLogits => files.extend([shader!("slots.wgsl"), shader!("label_logits.wgsl")]),
            Driver::Partial => files.extend([
                shader!("workgroup.wgsl"),
                shader!("slots.wgsl"),
                shader!("part_of_row.wgsl"),
                shader!("visit.wgsl"),
                shader!("first_pass.wgsl"),
                shader!("partial.wgsl"),
            ]),
            Driver::Threshold | Driver::CloseSlots => {
                if self.sharded {
                    files.push(shader!("bind_statistics.wgsl"));
                }
                files.extend([
                    shader!("workgroup.wgsl"),
                    shader!("slots.wgsl"),
                    slots,
                    shader!("merge_slots.wgsl"),
                ]);
                files.push(match self.driver {
                    Driver::Threshold => shader!("threshold.wgsl"),
                    _ => shader!("close_slots.wgsl"),
                });
            }
            Driver::Gather => files.extend([
                shader!("workgroup.wgsl"),
                shader!("slots.wgsl"),
                shader!("slots_own.wgsl"),
                shader!("merge_slots.wgsl"),
                shader!("bind_statistics.wgsl"),
                shader!("record.wgsl"),
                shader!("gather.wgsl"),
            ]),
            Driver::Backward => {
                match self.regularised {
                    true => files.extend([
                        shader!("lade/first_column_beside.wgsl"),
                        shader!("lade/beside.wgsl"),
                        shader!("lade/table.wgsl"),
                        shader!("lade/term.wgsl"),
                    ]),
                    false => files.push(shader!("no_column_term.wgsl")),
                }
                files.extend([shader!("gradient_pass.wgsl"), shader!("backward.wgsl")]);
            }
            _ => files.push(shader!("class_scale_gradient.wgsl")),
        }
    }
}
