//! A spec's numbers as the kernels read them: the uniform block and the class table.

use crate::Reduction;
use crate::batch::TargetKind;
use crate::gpu::shader::{Column, InnerTerms};
use crate::softmax::{GateSource, SoftmaxLoss};
use std::ops::Range;

/// The uniform block of a loss, the twin of `Spec` in `shaders/softmax_spec.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there and in the spec")]
pub struct SoftmaxNumbers {
    pub weight_column: u32,
    pub margin_column: u32,
    pub smoothing_column: u32,
    pub regulariser_column: u32,
    pub reduction: u32,
    pub scale: f32,
    pub inverse_scale: f32,
    pub exponent_scale: f32,
    pub label_smoothing: f32,
    pub z_loss: f32,
    pub fixed_inverse: f32,
    pub focal_gamma: f32,
    pub focal_flags: u32,
    pub influence_alpha: f32,
    pub influence_eps: f32,
    pub influence_flags: u32,
    pub seesaw_p: f32,
    pub seesaw_q: f32,
    pub seesaw_log_eps: f32,
    pub gate_source: u32,
    pub drop_threshold: u32,
    pub seed_low: u32,
    pub seed_high: u32,
    pub ignore_index: i32,
    pub flags: u32,
}

/// Bits of [`SoftmaxNumbers::flags`], as in `shaders/softmax_spec.wgsl`.
const ROW_WEIGHTS: u32 = 1;
const FEATURE_NORMS: u32 = 2;
const IGNORE_INDEX: u32 = 4;

/// Which terms a spec needs in the inner loops.
pub(crate) fn inner_terms(spec: &SoftmaxLoss, targets: TargetKind) -> InnerTerms {
    let seesaw = spec.seesaw.as_ref();
    let compensation = seesaw.is_some_and(|seesaw| seesaw.q > 0.0);
    let given = |gate: &crate::softmax::Gate| gate.source == GateSource::Given;
    let dense = targets == TargetKind::Soft || spec.label_smoothing > 0.0 || spec.class_smoothing.is_some();
    InnerTerms {
        class_scale: spec.class_scale.is_some(),
        bias: spec.bias.is_some(),
        mitigation: seesaw.is_some_and(|seesaw| seesaw.p > 0.0),
        compensation,
        floor: compensation && seesaw.is_some_and(|seesaw| seesaw.eps > 0.0),
        gate: spec.gate.as_ref().is_some_and(|gate| !given(gate)),
        gate_given: spec.gate.as_ref().is_some_and(given),
        dense,
        class_weights: dense && spec.class_weights.is_some(),
    }
}

/// The terms of a plan that goes on with another spec, if that needs no others than the plan has; but class weights of
/// dense targets may come, and once they are there are 1 without any.
pub(crate) fn terms_to_go_on_with(
    planned: &InnerTerms,
    spec: &SoftmaxLoss,
    targets: TargetKind,
) -> Option<InnerTerms> {
    let wanted = inner_terms(spec, targets);
    let class_weights = planned.class_weights || wanted.class_weights;
    let terms = InnerTerms { class_weights, ..wanted };
    (InnerTerms { class_weights, ..*planned } == terms).then_some(terms)
}

/// Narrows a checked number; `check` has made sure that it is finite in f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the kernels compute in")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// The same of a number that may leave f32.
fn held(value: f64) -> f32 {
    narrow(value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)))
}

fn flag(present: bool, bit: u32) -> u32 {
    if present { bit } else { 0 }
}

impl SoftmaxNumbers {
    /// The numbers of a spec that has passed [`SoftmaxLoss::check`], for a batch of `rows`.
    pub(crate) fn new(spec: &SoftmaxLoss, rows: u64, columns: &ClassColumns, row_weights: bool) -> Self {
        let inverse = |denominator: f64| if denominator > 0.0 { narrow(1.0 / denominator) } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "an f32 denominator has fewer bits")]
        let batch = rows as f64;
        let (reduction, fixed_inverse) = match spec.reduction {
            Reduction::None | Reduction::Sum => (0, 1.0),
            Reduction::Mean => (0, inverse(batch)),
            Reduction::Fixed(denominator) => (0, inverse(denominator)),
            Reduction::MeanKept => (1, 0.0),
            Reduction::WeightedMean => (2, 0.0),
            // The softmax family's check refuses those of the sigmoid family.
            Reduction::Elements | Reduction::Positives => (0, 0.0),
        };
        let focal = spec.focal.as_ref();
        let influence = spec.influence.as_ref();
        let seesaw = spec.seesaw.as_ref();
        let gate = spec.gate.as_ref();
        let seed = gate.map_or(0, |gate| gate.seed);
        Self {
            weight_column: columns.place(LabelColumn::Weight),
            margin_column: columns.place(LabelColumn::Margin),
            smoothing_column: columns.place(LabelColumn::Smoothing),
            // Nothing fails here: there are a few columns.
            regulariser_column: u32::try_from(columns.len()).unwrap_or(u32::MAX),
            reduction,
            scale: narrow(spec.scale),
            inverse_scale: held(1.0 / spec.scale),
            exponent_scale: held(spec.scale * std::f64::consts::LOG2_E),
            label_smoothing: narrow(spec.label_smoothing),
            z_loss: narrow(spec.z_loss),
            fixed_inverse,
            focal_gamma: focal.map_or(0.0, |focal| narrow(focal.gamma)),
            focal_flags: focal.map_or(0, |focal| 1 | flag(focal.detached, 2) | flag(focal.weight_inside, 4)),
            influence_alpha: influence.map_or(0.0, |influence| narrow(influence.alpha)),
            influence_eps: influence.map_or(0.0, |influence| narrow(influence.eps)),
            influence_flags: influence.map_or(0, |influence| 1 | flag(influence.detached, 2)),
            seesaw_p: seesaw.map_or(0.0, |seesaw| narrow(seesaw.p)),
            seesaw_q: seesaw.map_or(0.0, |seesaw| narrow(seesaw.q)),
            // The kernel with a floor is only chosen for eps > 0.
            seesaw_log_eps: seesaw.map_or(0.0, |seesaw| narrow(seesaw.eps.max(1e-300).ln())),
            gate_source: match gate.map(|gate| gate.source) {
                Some(GateSource::Sample) => 1,
                Some(GateSource::Class) => 2,
                _ => 0,
            },
            drop_threshold: gate.map_or(0, |gate| gate.drop_threshold()),
            seed_low: (seed & 0xffff_ffff) as u32,
            seed_high: (seed >> 32) as u32,
            ignore_index: spec.ignore_index.unwrap_or(0),
            flags: flag(row_weights, ROW_WEIGHTS)
                | flag(influence.is_some(), FEATURE_NORMS)
                | flag(spec.ignore_index.is_some(), IGNORE_INDEX),
        }
    }
}

/// The numbers of cross-entropy with a reduction and an ignored index: what the kernels that prepare rows of other
/// families read.
pub(crate) fn plain_numbers(
    reduction: Reduction,
    ignore_index: Option<i32>,
    rows: u64,
    row_weights: bool,
) -> SoftmaxNumbers {
    let spec = SoftmaxLoss::default().with_reduction(reduction).with_ignore_index(ignore_index);
    let columns = ClassColumns { inner: Vec::new(), labels: Vec::new() };
    SoftmaxNumbers::new(&spec, rows, &columns, row_weights)
}

/// A column of the class table that only the labels' own values are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelColumn {
    Weight,
    Margin,
    Smoothing,
}

/// The columns of a spec's class table: first those of the inner loops, then those for labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassColumns {
    inner: Vec<Column>,
    labels: Vec<LabelColumn>,
}

impl ClassColumns {
    pub(crate) fn new(spec: &SoftmaxLoss, terms: &InnerTerms) -> Self {
        let labels = [
            (spec.class_weights.is_some() && !terms.class_weights, LabelColumn::Weight),
            (spec.margin.is_some(), LabelColumn::Margin),
            (spec.class_smoothing.is_some(), LabelColumn::Smoothing),
        ];
        Self {
            inner: terms.columns(),
            labels: labels.into_iter().filter_map(|(present, column)| present.then_some(column)).collect(),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        (self.inner.len() + self.labels.len()) as u64
    }

    /// The columns of `other`, and those that this has for labels besides, where they are.
    pub(crate) fn with(mut self, other: &Self) -> Self {
        self.inner.clone_from(&other.inner);
        for column in &other.labels {
            if !self.labels.contains(column) {
                self.labels.push(*column);
            }
        }
        self
    }

    /// The place of a column for labels in the table, as the kernels are told.
    pub(super) fn place(&self, column: LabelColumn) -> u32 {
        let inner = self.inner.iter().position(|inner| *inner == Column::Weight);
        let label = self.labels.iter().position(|label| *label == column);
        let place = match (column, inner) {
            (LabelColumn::Weight, Some(place)) => Some(place),
            _ => label.map(|place| self.inner.len() + place),
        };
        // NO_COLUMN of `shaders/softmax_spec.wgsl`.
        place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX)
    }

    /// The table of a range of classes, column after column. The counts' powers are 1 here: the device writes them
    /// from its cumulative counts.
    pub(crate) fn table(&self, spec: &SoftmaxLoss, classes: Range<usize>) -> Vec<f32> {
        let width = classes.len();
        let mut table = Vec::with_capacity((self.inner.len() + self.labels.len()) * width);
        let labels = self.labels.iter().map(|column| match column {
            LabelColumn::Weight => (&spec.class_weights, 1.0, 1.0),
            LabelColumn::Margin => (&spec.margin, 0.0, 1.0),
            LabelColumn::Smoothing => (&spec.class_smoothing, narrow(spec.label_smoothing), 1.0),
        });
        let inner = self.inner.iter().map(|column| match column {
            Column::Weight => (&spec.class_weights, 1.0, 1.0),
            Column::ClassScale => (&spec.class_scale, 1.0, 1.0),
            // In units of the scale (`shaders/terms.wgsl`).
            Column::Bias => (&spec.bias, 0.0, spec.scale),
            Column::Power => (&None, 1.0, 1.0),
            Column::Tail => (&None, 0.0, 1.0),
        });
        for (values, default, unit) in inner.chain(labels) {
            match values.as_ref().and_then(|values| values.get(classes.clone())) {
                // A class that is taken out has the lowest finite value: the kernels know no -inf of their own.
                Some(values) => table.extend(values.iter().map(|&value| held(value / unit))),
                None => table.extend(std::iter::repeat_n(default, width)),
            }
        }
        let tail = self.inner.iter().position(|column| *column == Column::Tail);
        let values = spec.gate.as_ref().and_then(|gate| gate.tail.get(classes));
        if let (Some(tail), Some(values)) = (tail, values) {
            for (slot, &value) in table.iter_mut().skip(tail * width).zip(values) {
                *slot = if value { 1.0 } else { 0.0 };
            }
        }
        table
    }
}
