//! The kernels' text: which files make which kernel, and the constants before them.

use super::key::{DistillationDriver, DistillationKey};
use crate::batch::TargetKind;
use crate::element::Element;
use crate::gpu::shader::{Column, File, InnerTerms, shader, text};
use crate::gpu::walk::saved_extra;

pub(super) fn of(key: &DistillationKey) -> String {
    match key.over_logits() {
        true => of_rows(key),
        false => of_fields(key),
    }
}

/// The places that every kernel agrees on.
fn places(key: &DistillationKey) -> [(&'static str, u64); 3] {
    [
        ("WG", u64::from(key.workgroup)),
        ("SAVED_EXTRA", saved_extra(key.gradient)),
        ("SAVED_OWN", key.saved_own()),
    ]
}

fn targets(key: &DistillationKey) -> [(&'static str, bool); 2] {
    [("SOFT_TARGETS", key.targets == TargetKind::Soft), ("MIXED_TARGETS", key.targets == TargetKind::Mixed)]
}

/// Kernels that look at fields of rows.
fn of_fields(key: &DistillationKey) -> String {
    use DistillationDriver::{Kept, KeptSums, LossSums};
    let mut files = vec![
        shader!("window.wgsl"),
        shader!("fields.wgsl"),
        shader!("distillation/fields.wgsl"),
        shader!("scalar.wgsl"),
        shader!("prelude.wgsl"),
    ];
    let kept = matches!(key.driver, KeptSums | Kept);
    files.push(match (kept, key.of_sums) {
        (true, false) => shader!("distillation/kept_of_row.wgsl"),
        (true, true) => shader!("share_of_sums.wgsl"),
        (false, false) => shader!("loss_of_row.wgsl"),
        (false, true) => shader!("loss_of_sums.wgsl"),
    });
    files.push(if kept { shader!("share_sum.wgsl") } else { shader!("loss_sum.wgsl") });
    files.push(shader!("sum_tree.wgsl"));
    files.push(match key.driver {
        KeptSums => shader!("share_sums.wgsl"),
        Kept => shader!("distillation/kept.wgsl"),
        LossSums => shader!("loss_sums.wgsl"),
        _ => shader!("distillation/finish.wgsl"),
    });
    text(None, &places(key), &targets(key), &files)
}

/// Kernels that walk along rows.
fn of_rows(key: &DistillationKey) -> String {
    let matrices = key.matrices();
    let mut files: Vec<File> = vec![
        shader!("window.wgsl"),
        shader!("fields.wgsl"),
        shader!("softmax_fields.wgsl"),
        shader!("distillation/fields.wgsl"),
        match key.binds_scalars() {
            true => shader!("bind_plan.wgsl"),
            false => shader!("distillation/bind_plan_without_scalars.wgsl"),
        },
    ];
    matrices.push_files(&mut files);
    files.push(shader!("prelude.wgsl"));
    let mut numbers = places(key).to_vec();
    let mut switches = targets(key).to_vec();
    match &key.base {
        None => {
            files.push(shader!("walk/row.wgsl"));
            switches.push(("TWO_STEP", false));
        }
        Some(terms) => push_softmax_row(key, terms, &mut files, &mut numbers, &mut switches),
    }
    files.extend([shader!("scan.wgsl"), shader!("distillation/numbers.wgsl")]);
    files.push(match matrices.shared() {
        true => shader!("distillation/bind_teacher_shared.wgsl"),
        false => shader!("distillation/bind_teacher.wgsl"),
    });
    files.push(match key.teacher {
        Element::F32 => shader!("distillation/teacher_whole.wgsl"),
        Element::F16 => shader!("distillation/teacher_f16.wgsl"),
        Element::Bf16 => shader!("distillation/teacher_bf16.wgsl"),
    });
    let several = key.lanes > 1;
    files.push(match several {
        false => shader!("distillation/lanes1.wgsl"),
        true => shader!("distillation/lanes4.wgsl"),
    });
    files.push(shader!("distillation/teacher_block.wgsl"));
    match key.driver {
        DistillationDriver::Gradient => {
            files.push(match key.base {
                None => shader!("distillation/no_base_gradient.wgsl"),
                Some(_) => shader!("distillation/base_gradient.wgsl"),
            });
            matrices.push_old(&mut files, key.adds);
            files.extend([shader!("distillation/gradient.wgsl"), shader!("walk/gradient.wgsl")]);
        }
        _ => {
            files.push(match key.base {
                None => shader!("distillation/no_base.wgsl"),
                Some(_) => shader!("distillation/base.wgsl"),
            });
            if key.base.is_some() {
                files.extend([shader!("visit.wgsl"), shader!("compensate.wgsl")]);
            }
            files.extend([
                shader!("distillation/closed.wgsl"),
                shader!("distillation/match.wgsl"),
                shader!("distillation/gathered.wgsl"),
            ]);
            files.push(match key.experts {
                false => shader!("distillation/gather_row.wgsl"),
                true => shader!("distillation/gather_experts.wgsl"),
            });
            files.push(match several {
                false => shader!("distillation/row_weights1.wgsl"),
                true => shader!("distillation/row_weights4.wgsl"),
            });
            files.push(shader!("distillation/rows.wgsl"));
        }
    }
    switches.extend([
        ("EXPERTS", key.experts),
        ("TEACHER_PAIRS", key.teacher_pairs),
        ("WANT_ARGMAX", key.argmax),
        ("ADDS", key.adds),
    ]);
    text(Some(&matrices), &numbers, &switches, &files)
}

/// The softmax family's row, and its loss from its mass.
fn push_softmax_row(
    key: &DistillationKey,
    terms: &InnerTerms,
    files: &mut Vec<File>,
    numbers: &mut Vec<(&'static str, u64)>,
    switches: &mut Vec<(&'static str, bool)>,
) {
    // Only rows look twice: what they leave of the first look is one more factor.
    let two_step = key.driver == DistillationDriver::Rows && terms.two_step();
    files.extend([
        shader!("softmax_spec.wgsl"),
        shader!("terms.wgsl"),
        shader!("threefry.wgsl"),
        shader!("step_draws.wgsl"),
        shader!("gates.wgsl"),
        shader!("row.wgsl"),
        shader!("label_column.wgsl"),
        shader!("mass.wgsl"),
        shader!("label_loss.wgsl"),
        shader!("write_row.wgsl"),
    ]);
    numbers.extend([
        ("COLUMN_WEIGHT", terms.column(Column::Weight)),
        ("COLUMN_CLASS_SCALE", terms.column(Column::ClassScale)),
        ("COLUMN_BIAS", terms.column(Column::Bias)),
        ("COLUMN_POWER", terms.column(Column::Power)),
        ("COLUMN_TAIL", terms.column(Column::Tail)),
    ]);
    switches.extend([
        ("HAS_CLASS_SCALE", terms.class_scale),
        ("HAS_BIAS", terms.bias),
        ("HAS_DENSE", terms.dense),
        ("HAS_CLASS_WEIGHTS", terms.class_weights),
        ("HAS_GATE", terms.gate),
        ("GATE_GIVEN", terms.gate_given),
        ("HAS_MITIGATION", terms.mitigation),
        ("HAS_COMPENSATION", terms.compensation),
        ("HAS_FACTOR", terms.mitigation || two_step),
        ("TWO_STEP", two_step),
    ]);
}
