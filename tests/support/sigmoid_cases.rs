//! Which losses of the sigmoid family are tested, and the batches for them.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::inputs::{Data, Flavour, Mix};
use longtail::gpu::RowChoice;
use longtail::random::DrawSource;
use longtail::sigmoid::{
    Background, EffectiveMode, Focal, Gate, GateSource, GradientBalance, Link, Margin, Rebalance, RowWeight,
    Suppression, WeightNorm,
};
use longtail::statistics::GradientSums;
use longtail::{Batch, ClassCounts, Group, Reduction, Result, SigmoidLoss, TargetKind, Targets, method};

/// A loss for any counts.
#[derive(Clone, Copy)]
pub struct Subject {
    pub name: &'static str,
    pub build: fn(&ClassCounts) -> Result<SigmoidLoss>,
}

impl Subject {
    /// The loss for so many columns: methods with a background column have one more than classes.
    pub fn spec(&self, columns: usize) -> SigmoidLoss {
        let build = |classes: usize| {
            (self.build)(&crate::inputs::counts(classes)).unwrap_or_else(|e| panic!("{}: {e}", self.name))
        };
        let spec = build(columns);
        match kinds(&spec, columns).is_empty() && columns > 1 {
            true => rounded(build(columns - 1)),
            false => rounded(spec),
        }
    }
}

/// Every method of the table, then combinations of terms.
pub fn subjects() -> Vec<Subject> {
    let methods = method::SIGMOID.iter();
    let methods = methods.map(|method| Subject { name: method.name, build: method.build });
    methods.chain(COMBINATIONS.iter().copied()).collect()
}

/// The subject of a name.
pub fn named(name: &str) -> Subject {
    *subjects().iter().find(|subject| subject.name == name).unwrap_or_else(|| panic!("no subject {name}"))
}

fn wave(classes: usize, low: f64, high: f64) -> Vec<f64> {
    (0..classes).map(|class| low + (high - low) * ((class * 5 % 11) as f64 / 10.0)).collect()
}

fn gate(counts: &ClassCounts, source: GateSource) -> Gate {
    let tail = (0..counts.classes()).map(|class| class % 3 != 0).collect();
    Gate { tail, drop_probability: 0.6, source, seed: 0x1234_5678_9abc, step: 7 }
}

fn margin(counts: &ClassCounts, summed: bool) -> Margin {
    Margin { columns: wave(counts.classes(), -0.3, 0.9), summed }
}

fn rebalance(counts: &ClassCounts) -> Rebalance {
    Rebalance { counts: counts.counts().to_vec(), alpha: 0.1, beta: 10.0, gamma: 0.2 }
}

/// Sums of every order of magnitude; every seventh class has none.
fn balance(classes: usize) -> GradientBalance {
    let sum = |class: usize, of: f64| if class % 7 == 3 { 0.0 } else { of };
    let positive = (0..classes).map(|class| sum(class, 0.1 + (class % 5) as f64)).collect();
    let negative = (0..classes).map(|class| sum(class, 0.2 + (class % 11) as f64)).collect();
    GradientBalance { sums: GradientSums { positive, negative }, gamma: 12.0, mu: 0.8, alpha: 4.0 }
}

fn suppression(classes: usize, source: DrawSource) -> Suppression {
    let groups = (0..classes).map(|class| [Group::Few, Group::Medium, Group::Many][class % 3]).collect();
    Suppression { threshold: 0.6, groups, rare: 0.3, common: 0.5, frequent: 0.9, source, seed: 99, step: 3 }
}

fn with(change: impl FnOnce(&mut SigmoidLoss)) -> Result<SigmoidLoss> {
    let mut spec = SigmoidLoss::bce();
    change(&mut spec);
    Ok(spec)
}

macro_rules! subject {
    ($name:literal, $build:expr) => {
        Subject { name: $name, build: $build }
    };
}

const COMBINATIONS: &[Subject] = &[
    subject!("bias and scale", |counts| with(|spec| {
        spec.scale = 2.5;
        spec.bias = Some(wave(counts.classes(), -0.7, 1.1));
    })),
    subject!("bias not on background", |counts| with(|spec| {
        spec.bias = Some(wave(counts.classes(), -1.5, 1.1));
        spec.bias_on_background = false;
        spec.background = Some(Background::Label(-7));
    })),
    subject!("bias of -inf", |counts| with(|spec| {
        let classes = counts.classes();
        let out = |class: usize| if class % 4 == 1 { f64::NEG_INFINITY } else { 0.1 };
        spec.bias = Some((0..classes).map(out).collect());
    })),
    subject!("own margins", |counts| with(|spec| spec.margin = Some(margin(counts, false)))),
    subject!("summed margins at scale 30", |counts| with(|spec| {
        spec.scale = 30.0;
        spec.margin = Some(margin(counts, true));
    })),
    subject!("negative scale", |_| with(|spec| spec.negative_scale = 5.0)),
    subject!("positive weight", |counts| Ok(SigmoidLoss::bce().with_positive_weight(wave(
        counts.classes(),
        0.0,
        3.0
    )))),
    subject!("positive weight and focal", |counts| {
        let spec = SigmoidLoss::bce().with_positive_weight(wave(counts.classes(), 0.5, 3.0));
        Ok(spec.with_focal(Focal::new(2.0)))
    }),
    subject!("class weights", |counts| Ok(SigmoidLoss::bce().with_class_weights(wave(
        counts.classes(),
        0.0,
        2.0
    )))),
    subject!("focal 0", |_| Ok(SigmoidLoss::bce().with_focal(Focal::new(0.0)))),
    subject!("focal 1/2", |_| Ok(SigmoidLoss::bce().with_focal(Focal::new(0.5)))),
    subject!("focal 2", |_| Ok(SigmoidLoss::bce().with_focal(Focal::new(2.0)))),
    subject!("focal 3 and negative scale", |_| with(|spec| {
        spec.focal = Some(Focal::new(3.0));
        spec.negative_scale = 0.4;
    })),
    subject!("focal detached", |_| {
        let focal = Focal { gamma: 1.5, detached: true, weight_inside: false };
        Ok(SigmoidLoss::bce().with_focal(focal).with_factors(0.25, 0.75))
    }),
    subject!("mean count", |counts| Ok(SigmoidLoss::bce()
        .with_row_weight(RowWeight::EffectiveOfMean { counts: counts.counts().to_vec(), beta: 0.99 }))),
    subject!("smallest count, beta 0", |counts| SigmoidLoss::effective_number(
        counts,
        0.0,
        EffectiveMode::SmallestCount
    )),
    subject!("smallest count among absent ones", |counts| {
        let counts = counts.counts().to_vec();
        Ok(SigmoidLoss::bce().with_row_weight(RowWeight::EffectiveOfMin { counts, beta: 0.99, absent: 30.0 }))
    }),
    subject!("mean weights over the row's largest", |counts| {
        let spec = SigmoidLoss::bce().with_row_weight(RowWeight::Mean(wave(counts.classes(), 0.0, 3.0)));
        let spec = spec.with_class_weights(wave(counts.classes(), 0.1, 2.0));
        Ok(spec.with_weight_norm(WeightNorm::Row))
    }),
    subject!("mean weights over the batch's largest", |counts| {
        let spec = SigmoidLoss::bce().with_row_weight(RowWeight::Mean(wave(counts.classes(), 0.0, 3.0)));
        let spec = spec.with_class_weights(wave(counts.classes(), 0.1, 2.0));
        Ok(spec.with_weight_norm(WeightNorm::Batch))
    }),
    subject!("re-balancing by row", |counts| Ok(SigmoidLoss::bce()
        .with_rebalance(rebalance(counts))
        .with_weight_norm(WeightNorm::Row))),
    subject!("re-balancing by batch", |counts| {
        let weight = RowWeight::EffectiveOfMean { counts: counts.counts().to_vec(), beta: 0.9 };
        let spec = SigmoidLoss::bce().with_rebalance(rebalance(counts)).with_row_weight(weight);
        Ok(spec.with_weight_norm(WeightNorm::Batch))
    }),
    subject!("re-balancing downwards by row", |counts| {
        let rebalance = Rebalance { beta: -3.0, ..rebalance(counts) };
        Ok(SigmoidLoss::bce().with_rebalance(rebalance).with_weight_norm(WeightNorm::Row))
    }),
    subject!("gradient balance", |counts| with(
        |spec| spec.gradient_balance = Some(balance(counts.classes()))
    )),
    subject!("gradient balance with a background column", |counts| with(|spec| {
        let last = counts.classes() - 1;
        spec.gradient_balance = Some(balance(counts.classes()));
        spec.focal = Some(Focal::new(1.0));
        spec.background = Some(Background::Column(last as u32));
        spec.reduction = Reduction::Positives;
    })),
    subject!(
        "gates by element",
        |counts| Ok(SigmoidLoss::bce().with_gate(gate(counts, GateSource::Element)))
    ),
    subject!("gates by row", |counts| Ok(SigmoidLoss::bce().with_gate(gate(counts, GateSource::Sample)))),
    subject!("gates by class", |counts| {
        let spec = SigmoidLoss::bce().with_gate(gate(counts, GateSource::Class));
        Ok(spec.with_background(Some(Background::Label(1_000_000))))
    }),
    subject!("given gates", |counts| {
        let spec = SigmoidLoss::bce().with_gate(gate(counts, GateSource::Given));
        Ok(spec.with_background(Some(Background::Label(-7))))
    }),
    subject!("given weights", |_| Ok(SigmoidLoss::bce()
        .with_given_weights(true)
        .with_focal(Focal::new(2.0)))),
    subject!("drawn rows", |counts| with(|spec| {
        spec.suppression = Some(suppression(counts.classes(), DrawSource::Counter));
        spec.background = Some(Background::Column(0));
    })),
    subject!("drawn rows and gates", |counts| with(|spec| {
        let term = suppression(counts.classes(), DrawSource::Counter);
        spec.gate = Some(Gate { seed: term.seed, step: term.step, ..gate(counts, GateSource::Element) });
        spec.suppression = Some(term);
        spec.background = Some(Background::Column(0));
        spec.reduction = Reduction::Positives;
    })),
    subject!("given rows", |counts| with(|spec| {
        spec.suppression = Some(suppression(counts.classes(), DrawSource::Given));
        spec.background = Some(Background::Column(0));
    })),
    subject!("softmax link", |_| with(|spec| spec.link = Link::Softmax)),
    subject!("softmax link with terms", |counts| with(|spec| {
        spec.link = Link::Softmax;
        spec.scale = 0.7;
        spec.margin = Some(margin(counts, true));
        spec.class_weights = Some(wave(counts.classes(), 0.0, 2.0));
        spec.gate = Some(gate(counts, GateSource::Element));
        spec.row_weight = Some(RowWeight::Mean(wave(counts.classes(), 0.2, 3.0)));
    })),
    subject!("everything", |counts| with(|spec| {
        let classes = counts.classes();
        spec.scale = 1.5;
        spec.bias = Some(wave(classes, -0.7, 1.1));
        spec.margin = Some(margin(counts, true));
        spec.negative_scale = 2.5;
        spec.positive_weight = Some(wave(classes, 0.5, 3.0));
        spec.class_weights = Some(wave(classes, 0.25, 2.0));
        spec.row_weight = Some(RowWeight::Mean(wave(classes, 0.2, 3.0)));
        spec.positive_factor = 0.3;
        spec.negative_factor = 0.8;
        spec.gradient_balance = Some(balance(classes));
        spec.gate = Some(gate(counts, GateSource::Element));
        spec.focal = Some(Focal::new(1.5));
        spec.reduction = Reduction::Positives;
    })),
    subject!("softmax link with factors", |_| {
        let mut spec = SigmoidLoss::bce().with_factors(0.3, 0.8);
        spec.link = Link::Softmax;
        Ok(spec)
    }),
];

/// Every reduction of the family.
pub const REDUCTIONS: [Reduction; 7] = [
    Reduction::None,
    Reduction::Sum,
    Reduction::Mean,
    Reduction::MeanKept,
    Reduction::Elements,
    Reduction::Positives,
    Reduction::Fixed(12.5),
];

/// Row layouts, the default first.
pub const CHOICES: [Option<RowChoice>; 7] = [
    None,
    Some(RowChoice::stream(4, 8)),
    Some(RowChoice::stream(1, 8)),
    Some(RowChoice::stream(1, 4).with_split(3)),
    Some(RowChoice::stream(4, 32)),
    Some(RowChoice::stream(4, 2).with_split(5)),
    Some(RowChoice::stream(1, 1)),
];

/// The kinds of targets that a loss has a meaning for.
pub fn kinds(spec: &SigmoidLoss, columns: usize) -> Vec<TargetKind> {
    let kinds = [TargetKind::Hard, TargetKind::MultiHot];
    kinds.into_iter().filter(|kind| spec.check(columns, *kind).is_ok()).collect()
}

/// A batch for a loss: labels of classes, ignored ones and those of background; multi-hot rows with several positives,
/// with shares, and with none.
pub fn data(spec: &SigmoidLoss, rows: usize, columns: usize, kind: TargetKind, seed: usize) -> Data {
    const UNMASKED: &[Flavour] = &[Flavour::Unit, Flavour::Spread, Flavour::Trained, Flavour::Constant];
    let mut mix = Mix::new(seed as u32);
    if spec.link == Link::Softmax && spec.bias.is_some() {
        mix.flavours = UNMASKED;
    }
    mix.row_weights = seed % 3 == 1;
    mix.ignore = spec.ignore_index;
    let mut data = Data::new(rows, columns, kind, mix);
    let background = match spec.background {
        Some(Background::Label(label)) => Some(label),
        Some(Background::Column(column)) => Some(column as i32),
        _ => None,
    };
    for row in (0..rows).filter(|row| row % 3 == 1 || row % 7 == 5) {
        if let Some(label) = background {
            data.labels[row] = label;
        }
    }
    for (row, targets) in data.soft.chunks_mut(columns).enumerate() {
        for (class, target) in targets.iter_mut().enumerate() {
            let present = (row + class) % (2 + row % 9) == 0 && *target > 0.0;
            *target = match (present, row % 5) {
                (false, _) | (_, 2) => 0.0,
                (true, 3) => *target,
                (true, _) => 1.0,
            };
        }
    }
    if spec.given_weights {
        let weights = data.gates.iter_mut().enumerate();
        weights.for_each(|(index, weight)| *weight *= 0.25 + (index % 4) as f32);
    }
    data
}

/// How many terms take the batch's gates.
pub fn takes_gates(spec: &SigmoidLoss) -> bool {
    let gate = spec.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given);
    let rows = spec.suppression.as_ref().is_some_and(|term| term.source == DrawSource::Given);
    gate || rows || spec.given_weights
}

/// The batch as the reference takes it.
pub fn wide<'a>(spec: &SigmoidLoss, data: &'a Data) -> Batch<'a, f64> {
    fill(spec, data, Batch::new(&data.wide, data.classes, targets(data)))
}

/// The batch as contexts and sessions take it.
pub fn narrow<'a>(spec: &SigmoidLoss, data: &'a Data) -> Batch<'a> {
    fill(spec, data, Batch::new(&data.logits, data.classes, targets(data)))
}

fn fill<'a, T>(spec: &SigmoidLoss, data: &'a Data, mut batch: Batch<'a, T>) -> Batch<'a, T> {
    batch.row_weights = data.row_weights.as_deref();
    batch.gates = takes_gates(spec).then_some(&data.gates[..]);
    batch
}

fn targets(data: &Data) -> Targets<'_> {
    match data.kind {
        TargetKind::Hard => Targets::Hard(&data.labels),
        _ => Targets::MultiHot(&data.soft),
    }
}

/// The loss with every number rounded to f32, so that the reference computes with what the kernels are given.
pub fn rounded(mut spec: SigmoidLoss) -> SigmoidLoss {
    let round = |value: &mut f64| *value = f64::from(*value as f32);
    let columns = [&mut spec.bias, &mut spec.positive_weight, &mut spec.class_weights];
    columns.into_iter().flatten().for_each(|column| column.iter_mut().for_each(round));
    if let Some(margin) = &mut spec.margin {
        margin.columns.iter_mut().for_each(round);
    }
    if let Some(RowWeight::Mean(weights)) = &mut spec.row_weight {
        weights.iter_mut().for_each(round);
    }
    for number in
        [&mut spec.scale, &mut spec.negative_scale, &mut spec.positive_factor, &mut spec.negative_factor]
    {
        round(number);
    }
    if let Some(focal) = &mut spec.focal {
        round(&mut focal.gamma);
    }
    if let Some(rebalance) = &mut spec.rebalance {
        [&mut rebalance.alpha, &mut rebalance.beta, &mut rebalance.gamma].into_iter().for_each(round);
    }
    if let Some(balance) = &mut spec.gradient_balance {
        [&mut balance.gamma, &mut balance.mu, &mut balance.alpha].into_iter().for_each(round);
    }
    spec
}
