//! Which files of `shaders/` make which kernel.

use super::{Cell, Driver, KernelKey};

/// The name and the text of one file.
pub(super) type File = (&'static str, &'static str);

macro_rules! shader {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../shaders/", $name)))
    };
}

impl KernelKey {
    /// The files after the header, in order.
    pub(super) fn files(&self) -> Vec<File> {
        let mut files = vec![shader!("params.wgsl")];
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
        match self.driver {
            Driver::Prepare => files.push(shader!("prepare.wgsl")),
            Driver::ShareSums => {
                files.extend([share, shader!("share_tree.wgsl"), shader!("share_sums.wgsl")]);
            }
            Driver::Denominator => {
                files.extend([share, shader!("share_tree.wgsl"), shader!("denominator.wgsl")]);
            }
            Driver::LossSums => files.extend([loss, shader!("loss_tree.wgsl"), shader!("loss_sums.wgsl")]),
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
                files.push(match self.in_place() {
                    true => shader!("bind_in_place.wgsl"),
                    false => shader!("bind_gradient.wgsl"),
                });
                files.push(shader!("stitch.wgsl"));
            }
            _ => files.extend([loss, shader!("loss_tree.wgsl"), shader!("finish.wgsl")]),
        }
    }

    /// Kernels over rows: the matrices, then the row, then the kernel.
    fn row_files(&self, files: &mut Vec<File>) {
        files.push(shader!("bind_plan.wgsl"));
        self.matrix_files(files);
        files.push(match (self.binds_dense(), self.shared()) {
            (true, true) => shader!("bind_dense_shared.wgsl"),
            (true, false) => shader!("bind_dense.wgsl"),
            (false, _) => shader!("bind_no_dense.wgsl"),
        });
        files.push(match (self.has_upstream(), self.shared()) {
            (true, true) => shader!("bind_upstream_shared.wgsl"),
            (true, false) => shader!("bind_upstream.wgsl"),
            (false, _) => shader!("bind_no_upstream.wgsl"),
        });
        files.push(match self.lanes {
            1 => shader!("lanes1.wgsl"),
            _ => shader!("lanes4.wgsl"),
        });
        files.push(shader!("columns.wgsl"));
        files.push(match self.width() {
            1 => shader!("columns1.wgsl"),
            _ => shader!("columns2.wgsl"),
        });
        files.extend([
            shader!("prelude.wgsl"),
            shader!("terms.wgsl"),
            shader!("row.wgsl"),
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
                shader!("close_row.wgsl"),
                shader!("first_pass.wgsl"),
                shader!("gradient_pass.wgsl"),
                shader!("row_stream.wgsl"),
            ]),
            Driver::RowChip => files.extend([
                shader!("workgroup.wgsl"),
                shader!("close_row.wgsl"),
                shader!("gradient_pass.wgsl"),
                shader!("row_chip.wgsl"),
            ]),
            Driver::LabelLogits => files.extend([shader!("slots.wgsl"), shader!("label_logits.wgsl")]),
            Driver::Partial => files.extend([
                shader!("workgroup.wgsl"),
                shader!("slots.wgsl"),
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
            Driver::Backward => files.extend([shader!("gradient_pass.wgsl"), shader!("backward.wgsl")]),
            _ => files.push(shader!("class_scale_gradient.wgsl")),
        }
    }

    /// Logits and gradient: their bindings and their elements.
    fn matrix_files(&self, files: &mut Vec<File>) {
        let reads = |cell| self.driver.over_logits() && self.logits == cell;
        let writes = |cell| self.writes_gradient() && self.written_cell() == cell;
        if writes(Cell::PackedF16) {
            files.push(shader!("packed_f16.wgsl"));
        }
        if reads(Cell::PackedBf16) || writes(Cell::PackedBf16) {
            files.push(shader!("packed_bf16.wgsl"));
        }
        if !self.driver.over_logits() {
            files.push(shader!("no_logits.wgsl"));
        } else {
            if !self.in_place() {
                files.push(match self.shared() {
                    true => shader!("bind_logits_shared.wgsl"),
                    false => shader!("bind_logits.wgsl"),
                });
            }
            match self.logits {
                Cell::F32 | Cell::NativeF16 => files.push(shader!("logits_whole.wgsl")),
                Cell::PackedF16 => {
                    files.extend([shader!("logits_f16.wgsl"), shader!("logits_packed.wgsl")]);
                }
                Cell::PackedBf16 => {
                    files.extend([shader!("logits_bf16.wgsl"), shader!("logits_packed.wgsl")]);
                }
            }
        }
        if !self.writes_gradient() {
            files.push(shader!("no_gradient.wgsl"));
            return;
        }
        files.push(match self.in_place() {
            true => shader!("bind_in_place.wgsl"),
            false => shader!("bind_gradient.wgsl"),
        });
        match self.written_cell() {
            Cell::F32 => files.push(shader!("gradient_whole.wgsl")),
            Cell::NativeF16 => files.push(shader!("gradient_f16.wgsl")),
            Cell::PackedF16 => files.extend([shader!("pack_f16.wgsl"), shader!("gradient_packed.wgsl")]),
            Cell::PackedBf16 => files.extend([shader!("pack_bf16.wgsl"), shader!("gradient_packed.wgsl")]),
        }
    }
}
