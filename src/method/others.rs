//! Rows of the losses beyond the three families: columns of the batch, teachers, objectness, distances.

use super::Method;
use crate::distillation::Expert;
use crate::{ClassCounts, DistillationLoss, Group, LadeLoss, ObjectnessLoss, RangeLoss, TargetKind};

/// LADE and its regulariser.
pub const LADE: &[Method<LadeLoss>] = &[
    Method {
        name: "lade",
        title: "LADE",
        formula: "PriorCE + 0.1 R",
        paper: "Hong et al. 2020, arXiv 2012.00321",
        terms: "cross-entropy, regulariser",
        targets: TargetKind::Hard,
        golden: &["lade"],
        build: |counts| Ok(LadeLoss::lade(counts)),
    },
    Method {
        name: "lade_regulariser",
        title: "LADE's regulariser",
        formula: "R = -sum_j pi_j (T1_j - T2_j - lambda T2_j^2), T1 the mean of class j's z_j, T2 = log mean exp of column j",
        paper: "Hong et al. 2020, arXiv 2012.00321",
        terms: "regulariser",
        targets: TargetKind::Hard,
        golden: &["lade"],
        build: |counts| Ok(LadeLoss::regulariser(counts, 0.1)),
    },
];

/// An expert for the classes of each shot group that has any.
fn experts(counts: &ClassCounts) -> Vec<Expert> {
    let groups = counts.standard_groups();
    let classes = |wanted: Group| -> Vec<u32> {
        (0u32..).zip(&groups).filter(|(_, group)| **group == wanted).map(|(class, _)| class).collect()
    };
    let all = [Group::Many, Group::Medium, Group::Few].map(classes);
    all.into_iter().filter(|classes| !classes.is_empty()).map(Expert::new).collect()
}

/// Distillation. The teacher's logits are [`DistillationLoss::teacher_columns`] wide.
pub const DISTILLATION: &[Method<DistillationLoss>] = &[
    Method {
        name: "distillation",
        title: "Knowledge distillation",
        formula: "T^2 KL(softmax(t / T) || softmax(z / T))",
        paper: "Hinton et al. 2015, arXiv 1503.02531",
        terms: "squared temperature",
        targets: TargetKind::Hard,
        golden: &["kd_hinton"],
        build: |_| Ok(DistillationLoss::hinton(3.0)),
    },
    Method {
        name: "lfme",
        title: "Learning from multiple experts (LFME)",
        formula: "sum_e w_e KL(softmax(t_e / 2) || softmax(z_{classes of e} / 2))",
        paper: "Xiang et al. 2020, arXiv 2001.01536",
        terms: "experts",
        targets: TargetKind::Hard,
        golden: &["kd_lfme"],
        build: |counts| Ok(DistillationLoss::lfme(experts(counts))),
    },
    Method {
        name: "dive",
        title: "Distilling virtual examples (DiVE)",
        formula: "(1 - a) balanced softmax + a T^2 KL(softmax(p t / T) || softmax(z / T))",
        paper: "He et al. 2021, arXiv 2103.15042",
        terms: "squared temperature, teacher power, base",
        targets: TargetKind::Hard,
        golden: &["dive"],
        build: |counts| DistillationLoss::dive(counts, 0.5, 3.0, 0.5),
    },
];

/// Classes and objectness. The logits are [`ObjectnessLoss::columns`] wide.
pub const OBJECTNESS: &[Method<ObjectnessLoss>] = &[Method {
    name: "seesaw_objectness",
    title: "Seesaw with objectness (mmdetection)",
    formula: "seesaw over objects + CE(object or background), both over N",
    paper: "Wang et al. 2020, arXiv 2008.10032",
    terms: "seesaw, objectness",
    targets: TargetKind::Hard,
    golden: &["seesaw_mmdet"],
    build: |counts| Ok(ObjectnessLoss::seesaw(counts)),
}];

/// Losses on features.
pub const RANGE: &[Method<RangeLoss>] = &[Method {
    name: "range_loss",
    title: "Range loss",
    formula: "sum over classes of the harmonic mean of the 2 largest distances / 2 + max(0, m - nearest centres) / 2",
    paper: "Zhang et al. 2016, arXiv 1611.08976",
    terms: "intra, inter",
    targets: TargetKind::Hard,
    golden: &["range_loss"],
    build: |_| Ok(RangeLoss::default()),
}];
