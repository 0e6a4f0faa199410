//! Which specs are tested, in which manners and shapes.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::gpu::{Manner, Up};
use crate::inputs::{Flavour, Mix, counts, rounded};
use longtail::gpu::{Mode, RowChoice, Storage};
use longtail::softmax::{Focal, Gate, GateSource, Influence, Seesaw, SmoothingShape};
use longtail::{ClassCounts, Reduction, Result, SoftmaxLoss, TargetKind, method};

/// A spec for any counts.
#[derive(Clone, Copy)]
pub struct Subject {
    pub name: &'static str,
    pub kind: TargetKind,
    pub build: fn(&ClassCounts) -> Result<SoftmaxLoss>,
}

impl Subject {
    pub fn spec(&self, counts: &ClassCounts) -> SoftmaxLoss {
        rounded((self.build)(counts).unwrap_or_else(|error| panic!("{}: {error}", self.name)))
    }
}

/// Every method of the table, then combinations of terms.
pub fn subjects() -> Vec<Subject> {
    let methods = method::SOFTMAX.iter();
    let methods =
        methods.map(|method| Subject { name: method.name, kind: method.targets, build: method.build });
    methods.chain(COMBINATIONS.iter().copied()).collect()
}

fn gate(counts: &ClassCounts, source: GateSource) -> Gate {
    let tail = (0..counts.classes()).map(|class| class % 3 != 0).collect();
    Gate { tail, drop_probability: 0.6, source, seed: 0x1234_5678_9abc, step: 7 }
}

fn with(spec: SoftmaxLoss, change: impl FnOnce(&mut SoftmaxLoss)) -> SoftmaxLoss {
    let mut spec = spec;
    change(&mut spec);
    spec
}

fn wave(classes: usize, low: f64, high: f64) -> Vec<f64> {
    (0..classes).map(|class| low + (high - low) * ((class * 5 % 11) as f64 / 10.0)).collect()
}

macro_rules! subject {
    ($name:literal, $kind:ident, $build:expr) => {
        Subject { name: $name, kind: TargetKind::$kind, build: $build }
    };
}

const COMBINATIONS: &[Subject] = &[
    subject!("ldam + focal + drw", Hard, |counts| {
        let spec = SoftmaxLoss::ldam(counts, 0.5, 10.0)?.with_deferred_reweighting(counts, 0.999)?;
        Ok(spec.with_focal(Focal::new(1.5)))
    }),
    subject!("logit adjustment + seesaw", Hard, |counts| {
        let adjusted = SoftmaxLoss::logit_adjusted(counts, 1.0)?;
        Ok(with(SoftmaxLoss::seesaw(counts), |spec| spec.bias = adjusted.bias).with_temperature(0.3))
    }),
    subject!("logit adjustment + seesaw + smoothing", Hard, |counts| {
        let adjusted = SoftmaxLoss::logit_adjusted(counts, 1.0)?;
        let spec = with(SoftmaxLoss::seesaw(counts), |spec| spec.bias = adjusted.bias);
        let spec = spec.with_label_smoothing(0.2).with_class_weights(wave(counts.classes(), 0.5, 2.0));
        Ok(spec.with_temperature(0.4))
    }),
    subject!("paper's seesaw + scale + smoothing", Hard, |counts| {
        let spec = with(SoftmaxLoss::seesaw_paper(counts), |spec| {
            spec.class_scale = Some(wave(counts.classes(), 0.5, 1.5));
        });
        Ok(spec.with_label_smoothing(0.1).with_temperature(2.5))
    }),
    subject!("seesaw, mitigation alone, counts fixed", Hard, |counts| {
        let seesaw =
            Seesaw { p: 0.8, q: 0.0, eps: 0.01, counts: counts.counts().to_vec(), count_batch: false };
        Ok(with(SoftmaxLoss::default(), |spec| spec.seesaw = Some(seesaw)))
    }),
    subject!("seesaw, compensation alone", Hard, |counts| {
        let seesaw = Seesaw { p: 0.0, q: 1.5, eps: 0.2, counts: counts.counts().to_vec(), count_batch: true };
        Ok(with(SoftmaxLoss::default(), |spec| spec.seesaw = Some(seesaw)))
    }),
    subject!("seesaw + gates", Hard, |counts| {
        Ok(with(SoftmaxLoss::seesaw(counts), |spec| spec.gate = Some(gate(counts, GateSource::Element))))
    }),
    subject!("gates + margin + two labels", Mixed, |counts| {
        let margin = wave(counts.classes(), 0.0, 0.7);
        let spec = with(SoftmaxLoss::default(), |spec| {
            spec.gate = Some(gate(counts, GateSource::Element));
            spec.margin = Some(margin);
        });
        Ok(spec.with_temperature(1.5))
    }),
    subject!("given gates + margin + two labels + focal", Mixed, |counts| {
        let margin = wave(counts.classes(), -0.2, 0.7);
        let spec = with(SoftmaxLoss::equalization_given(), |spec| spec.margin = Some(margin));
        Ok(spec.with_focal(Focal::new(2.0)))
    }),
    subject!("two labels + smoothing + weights + z-loss", Mixed, |counts| {
        let spec = SoftmaxLoss::weighted(wave(counts.classes(), 0.2, 3.0)).with_label_smoothing(0.15);
        Ok(spec.with_z_loss(0.01))
    }),
    subject!("two labels + class smoothing + margin", Mixed, |counts| {
        let spec = SoftmaxLoss::label_aware_smoothing(counts, 0.4, 0.1, SmoothingShape::Linear)?;
        Ok(with(spec, |spec| spec.margin = Some(wave(counts.classes(), 0.0, 0.5))))
    }),
    subject!("temperature + z-loss", Hard, |counts| {
        Ok(SoftmaxLoss::balanced(counts).with_temperature(2.5).with_z_loss(0.05))
    }),
    subject!("class smoothing + weights + focal", Hard, |counts| {
        let spec = SoftmaxLoss::label_aware_smoothing(counts, 0.3, 0.1, SmoothingShape::Convex)?;
        Ok(spec.with_class_weights(wave(counts.classes(), 0.3, 1.7)).with_focal(Focal::new(2.0)))
    }),
    subject!("soft + smoothing + weights", Soft, |counts| {
        let spec = SoftmaxLoss::weighted(wave(counts.classes(), 0.3, 1.7)).with_label_smoothing(0.2);
        Ok(spec.with_temperature(1.5))
    }),
    subject!("soft + bias + z-loss", Soft, |counts| {
        Ok(SoftmaxLoss::balanced(counts).with_z_loss(0.02).with_temperature(0.4))
    }),
    subject!("soft + class scale", Soft, |counts| {
        Ok(SoftmaxLoss::learnable_scaling(wave(counts.classes(), -0.5, 1.5)))
    }),
    subject!("vector scaling + seesaw + margin + focal", Hard, |counts| {
        let spec = SoftmaxLoss::vector_scaling(counts, 0.2, 1.0)?;
        let seesaw = SoftmaxLoss::seesaw(counts).seesaw;
        let spec = with(spec, |spec| {
            spec.seesaw = seesaw;
            spec.margin = Some(wave(counts.classes(), 0.0, 0.3));
        });
        Ok(spec.with_focal(Focal { gamma: 0.5, detached: true, weight_inside: false }))
    }),
    subject!("influence + focal + bias", Hard, |counts| {
        let spec = with(SoftmaxLoss::balanced(counts), |spec| {
            spec.influence = Some(Influence { alpha: 10.0, eps: 1e-2, detached: false });
        });
        Ok(spec.with_focal(Focal::new(1.0)))
    }),
    subject!("given gates + bias", Hard, |counts| {
        let bias = SoftmaxLoss::balanced(counts).bias;
        Ok(with(SoftmaxLoss::equalization_given(), |spec| spec.bias = bias))
    }),
    subject!("bias of -inf", Hard, |counts| {
        // Every class but the first and the last ones may go.
        let classes = counts.classes();
        let out = |class: usize| class % 4 == 1 && class + 1 < classes;
        let bias = (0..classes).map(|class| if out(class) { f64::NEG_INFINITY } else { 0.1 }).collect();
        Ok(with(SoftmaxLoss::default(), |spec| spec.bias = Some(bias)))
    }),
    subject!("class scales of both signs", Hard, |counts| {
        Ok(SoftmaxLoss::learnable_scaling(wave(counts.classes(), -1.0, 2.0)))
    }),
];

/// Every reduction.
pub const REDUCTIONS: [Reduction; 6] = [
    Reduction::None,
    Reduction::Sum,
    Reduction::Mean,
    Reduction::MeanKept,
    Reduction::WeightedMean,
    Reduction::Fixed(12.5),
];

/// Row kernels, the default first. `chip` times `workgroup` is the longest row.
pub const CHOICES: [Option<RowChoice>; 8] = [
    None,
    Some(RowChoice::on_chip(4, 8, 16)),
    Some(RowChoice::stream(1, 8)),
    Some(RowChoice::on_chip(1, 64, 2)),
    Some(RowChoice::on_chip(4, 32, 4)),
    Some(RowChoice::stream(4, 64)),
    Some(RowChoice::on_chip(1, 32, 8)),
    Some(RowChoice::stream(1, 1)),
];

/// Passes, storage and upstream gradients that go together.
pub const PASSES: [(Mode, Storage, Up); 7] = [
    (Mode::LossAndGrad, Storage::Separate, Up::One),
    (Mode::ForwardBackward, Storage::InPlace, Up::PerRow),
    (Mode::LossAndGrad, Storage::Shared, Up::One),
    (Mode::ForwardBackward, Storage::Separate, Up::Scalar(-2.5)),
    (Mode::LossAndGrad, Storage::InPlace, Up::One),
    (Mode::ForwardBackward, Storage::Shared, Up::PerRow),
    (Mode::ForwardBackward, Storage::Separate, Up::One),
];

/// The `turn`-th manner: choices, passes and gaps go round in steps that share no factor.
pub fn manner(turn: usize) -> Manner {
    let (mode, storage, upstream) = PASSES[turn % PASSES.len()];
    Manner {
        mode,
        storage,
        choice: CHOICES[turn % CHOICES.len()],
        gaps: [(0, 0), (3, 0), (0, 5), (1, 2), (64, 1)][turn % 5],
        upstream,
        argmax: turn % 3 != 1,
        ..Manner::default()
    }
}

/// Rows and classes for a row kernel: the ends, and what lies around its workgroup.
pub fn shapes(choice: Option<RowChoice>) -> Vec<(usize, usize)> {
    let workgroup = choice.map_or(8, |choice| choice.workgroup as usize);
    let longest =
        choice.filter(|choice| choice.chip > 0).map(|choice| (choice.chip * choice.workgroup) as usize);
    let mut shapes =
        vec![(1, 1), (1, 2), (3, 7), (5, workgroup.max(2) - 1), (5, workgroup), (6, workgroup + 1)];
    shapes.push((9, longest.unwrap_or(203)));
    shapes.retain(|&(_, classes)| longest.is_none_or(|longest| classes <= longest));
    shapes
}

/// The subject of a name.
pub fn named(name: &str) -> Subject {
    *subjects().iter().find(|subject| subject.name == name).unwrap_or_else(|| panic!("no subject {name}"))
}

/// The flavours a subject can take: a masked class has an infinite loss under label smoothing.
pub fn mix(subject: &Subject, seed: usize) -> Mix {
    const UNMASKED: &[Flavour] =
        &[Flavour::Unit, Flavour::Spread, Flavour::Trained, Flavour::Constant, Flavour::Sure];
    let spec = subject.spec(&counts(3));
    let smoothed = spec.label_smoothing > 0.0 || spec.class_smoothing.is_some();
    let mut mix = Mix::new(seed as u32);
    if smoothed || spec.bias.iter().flatten().any(|bias| bias.is_infinite()) {
        mix.flavours = UNMASKED;
    }
    mix.row_weights = seed % 3 == 1;
    mix
}
