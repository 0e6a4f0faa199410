//! Inputs of every kind, the same on every run: a counter-based generator, rows of varied magnitude.
#![allow(dead_code, reason = "each test file uses a part")]

use longtail::random::threefry;
use longtail::softmax::GateSource;
use longtail::{Batch, ClassCounts, Element, SoftmaxLoss, TargetKind, Targets};

/// Uniform numbers from a seed.
pub struct Draws {
    seed: u32,
    next: u32,
}

impl Draws {
    pub fn new(seed: u32) -> Self {
        Self { seed, next: 0 }
    }

    pub fn bits(&mut self) -> u32 {
        self.next += 1;
        threefry([self.seed, 0x7a11], [self.next, 0])[0]
    }

    /// In `[0, 1)`.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / 16_777_216.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        ((u64::from(self.bits()) * end as u64) >> 32) as usize
    }

    /// Mean 0, variance 1: the sum of four uniform numbers, scaled.
    pub fn normal(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 3f32.sqrt()
    }
}

/// What a row of logits looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Unit variance.
    Unit,
    /// Uniform in -30..30.
    Spread,
    /// The first label's probability is near 1 (about 1 - 1e-6 for the next one).
    Trained,
    /// As `Trained`, but so that 1 - p is of the order of 1e-6 whatever K is.
    Sure,
    /// Unit variance, a third of the classes masked by -inf, never a label.
    Masked,
    /// All the same.
    Constant,
}

pub const FLAVOURS: [Flavour; 6] =
    [Flavour::Unit, Flavour::Spread, Flavour::Trained, Flavour::Masked, Flavour::Sure, Flavour::Constant];

/// Everything that a batch may need; what a spec has no use for is left out by [`Data::batch`].
#[derive(Debug, Clone)]
pub struct Data {
    pub rows: usize,
    pub classes: usize,
    pub kind: TargetKind,
    pub logits: Vec<f32>,
    pub wide: Vec<f64>,
    pub labels: Vec<i32>,
    pub second: Vec<i32>,
    pub lambda: Vec<f32>,
    pub soft: Vec<f32>,
    pub row_weights: Option<Vec<f32>>,
    pub norms: Vec<f32>,
    pub gates: Vec<f32>,
    pub upstream: Vec<f32>,
}

/// What the rows hold.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    pub seed: u32,
    /// Rows go through these in turn.
    pub flavours: &'static [Flavour],
    /// Every fifth row's label is the ignored index.
    pub ignore: Option<i32>,
    pub row_weights: bool,
}

impl Mix {
    pub fn new(seed: u32) -> Self {
        Self { seed, flavours: &FLAVOURS, ignore: Some(-100), row_weights: false }
    }
}

impl Data {
    pub fn new(rows: usize, classes: usize, kind: TargetKind, mix: Mix) -> Self {
        let mut draws = Draws::new(mix.seed ^ (rows as u32).wrapping_mul(0x9e37) ^ (classes as u32) << 12);
        let mut label = |row: usize| match row % 4 {
            0 => 0,
            1 => classes - 1,
            _ => draws.below(classes),
        };
        let mut labels: Vec<i32> = (0..rows).map(|row| label(row + mix.seed as usize) as i32).collect();
        let mut second: Vec<i32> = (0..rows).map(|row| label(row + 2) as i32).collect();
        let mut draws = Draws::new(mix.seed.wrapping_add(0x51));
        let mut logits = Vec::with_capacity(rows * classes);
        let mut soft = Vec::with_capacity(rows * classes);
        for row in 0..rows {
            let flavour = mix.flavours[(row + mix.seed as usize) % mix.flavours.len()];
            let (first, second) = (labels[row] as usize, second[row] as usize);
            let constant = draws.normal();
            let start = logits.len();
            for class in 0..classes {
                let mut z = match flavour {
                    Flavour::Spread => 60.0 * draws.unit() - 30.0,
                    Flavour::Constant => constant,
                    _ => draws.normal(),
                };
                let lift = match flavour {
                    Flavour::Trained => 9.0,
                    Flavour::Sure => 14.0 + (classes as f32).ln(),
                    _ => 0.0,
                };
                if class == first {
                    z += lift;
                }
                let target = draws.unit();
                let masked = draws.below(3) == 0 && class != first && class != second;
                if flavour == Flavour::Masked && masked {
                    z = f32::NEG_INFINITY;
                }
                logits.push(z);
                soft.push(if z == f32::NEG_INFINITY || target < 0.5 { 0.0 } else { target });
            }
            // Trained rows of soft targets are those whose target is what the logits say.
            if flavour == Flavour::Trained {
                let row = &logits[start..];
                let top = row.iter().copied().fold(f32::MIN, f32::max);
                let sum: f32 = row.iter().map(|z| (z - top).exp()).sum();
                for (target, z) in soft[start..].iter_mut().zip(row) {
                    *target = (z - top).exp() / sum;
                }
            }
        }
        if let Some(index) = mix.ignore {
            for row in (0..rows).filter(|row| (row + mix.seed as usize) % 5 == 3) {
                labels[row] = index;
            }
            for row in (0..rows).filter(|row| (row + mix.seed as usize) % 7 == 3) {
                second[row] = index;
            }
        }
        let wide = logits.iter().map(|&z| f64::from(z)).collect();
        let lambda = (0..rows).map(|row| [0.0, 1.0, 0.3, 0.8, 0.5][row % 5]).collect();
        Self {
            rows,
            classes,
            kind,
            wide,
            labels,
            second,
            lambda,
            soft,
            row_weights: mix.row_weights.then(|| (0..rows).map(|row| 0.5 * (row % 4) as f32).collect()),
            norms: (0..rows).map(|row| [0.0, 0.4, 3.0, 50.0][row % 4]).collect(),
            gates: (0..rows * classes).map(|_| if draws.below(3) == 0 { 0.0 } else { 1.0 }).collect(),
            upstream: (0..rows).map(|row| [1.5, -0.25, 0.0, 64.0][row % 4]).collect(),
            logits,
        }
    }

    /// The same with logits that an element type holds exactly.
    pub fn rounded_to(mut self, element: Element) -> Self {
        self.logits = element.decode(&element.encode(&self.logits));
        self.wide = self.logits.iter().map(|&z| f64::from(z)).collect();
        self
    }

    pub fn targets(&self) -> Targets<'_> {
        match self.kind {
            TargetKind::Hard => Targets::Hard(&self.labels),
            TargetKind::Mixed => {
                Targets::Mixed { first: &self.labels, second: &self.second, lambda: &self.lambda }
            }
            TargetKind::MultiHot => Targets::MultiHot(&self.soft),
            _ => Targets::Soft(&self.soft),
        }
    }

    fn fill<'a, T>(&'a self, logits: &'a [T], spec: &SoftmaxLoss) -> Batch<'a, T> {
        let mut batch = Batch::new(logits, self.classes, self.targets());
        batch.row_weights = self.row_weights.as_deref();
        batch.feature_norms = spec.influence.is_some().then_some(&self.norms[..]);
        let given = spec.gate.as_ref().is_some_and(|gate| gate.source == GateSource::Given);
        batch.gates = given.then_some(&self.gates[..]);
        batch
    }

    /// As the GPU takes it.
    pub fn batch(&self, spec: &SoftmaxLoss) -> Batch<'_> {
        self.fill(&self.logits, spec)
    }

    /// As the reference takes it.
    pub fn wide(&self, spec: &SoftmaxLoss) -> Batch<'_, f64> {
        self.fill(&self.wide, spec)
    }
}

/// Long-tailed counts: from 1000 down to 1 sample, in an order that is not sorted.
pub fn counts(classes: usize) -> ClassCounts {
    let count = |class: usize| {
        let rank = (class * 7 + 3) % classes.max(1);
        (1000.0 * 0.001f64.powf(rank as f64 / classes.max(2) as f64)).ceil() as u64
    };
    ClassCounts::new((0..classes).map(count).collect::<Vec<u64>>()).unwrap()
}

/// The spec with every number rounded to f32, so that the reference computes with what the kernels are given.
pub fn rounded(mut spec: SoftmaxLoss) -> SoftmaxLoss {
    let round = |value: &mut f64| *value = f64::from(*value as f32);
    let columns = [
        &mut spec.class_scale,
        &mut spec.bias,
        &mut spec.margin,
        &mut spec.class_weights,
        &mut spec.class_smoothing,
    ];
    for column in columns.into_iter().flatten() {
        column.iter_mut().for_each(round);
    }
    round(&mut spec.scale);
    round(&mut spec.label_smoothing);
    round(&mut spec.z_loss);
    if let Some(focal) = &mut spec.focal {
        round(&mut focal.gamma);
    }
    if let Some(influence) = &mut spec.influence {
        round(&mut influence.alpha);
        round(&mut influence.eps);
    }
    if let Some(seesaw) = &mut spec.seesaw {
        round(&mut seesaw.p);
        round(&mut seesaw.q);
        round(&mut seesaw.eps);
    }
    spec
}
