//! A spec's numbers as the kernels read them: the uniform block and the class table.

use super::shader::{Column, InnerTerms};
use crate::Reduction;
use crate::batch::TargetKind;
use crate::softmax::{GateSource, SoftmaxLoss};

/// The uniform block, the twin of `Params` in `shaders/params.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there and in the spec")]
pub struct Params {
    pub rows: u32,
    pub classes: u32,
    pub first_row: u32,
    pub logits_stride: u32,
    pub gradient_stride: u32,
    pub dense_stride: u32,
    pub reduction: u32,
    pub scale: f32,
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
    pub infinity: u32,
    pub nan: u32,
}

/// The shape of a plan, as the kernels count: 32-bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub rows: u32,
    pub classes: u32,
    pub first_row: u32,
    pub logits_stride: u32,
    pub gradient_stride: u32,
    pub row_weights: bool,
}

/// Which terms a spec needs in the inner loops.
pub(crate) fn inner_terms(spec: &SoftmaxLoss, targets: TargetKind) -> InnerTerms {
    let seesaw = spec.seesaw.as_ref();
    let compensation = seesaw.is_some_and(|seesaw| seesaw.q > 0.0);
    let given = |gate: &crate::softmax::Gate| gate.source == GateSource::Given;
    InnerTerms {
        class_scale: spec.class_scale.is_some(),
        bias: spec.bias.is_some(),
        mitigation: seesaw.is_some_and(|seesaw| seesaw.p > 0.0),
        compensation,
        floor: compensation && seesaw.is_some_and(|seesaw| seesaw.eps > 0.0),
        gate: spec.gate.as_ref().is_some_and(|gate| !given(gate)),
        gate_given: spec.gate.as_ref().is_some_and(given),
        smoothing: (spec.label_smoothing > 0.0 && targets != TargetKind::Soft)
            || spec.class_smoothing.is_some(),
    }
}

/// Narrows a checked number; `check` has made sure that it is finite in f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the kernels compute in")]
fn narrow(value: f64) -> f32 {
    value as f32
}

fn flag(present: bool, bit: u32) -> u32 {
    if present { bit } else { 0 }
}

impl Params {
    /// The block for a spec that has passed [`SoftmaxLoss::check`].
    pub(crate) fn new(spec: &SoftmaxLoss, extent: Extent) -> Self {
        let inverse = |denominator: f64| if denominator > 0.0 { narrow(1.0 / denominator) } else { 0.0 };
        let (reduction, fixed_inverse) = match spec.reduction {
            Reduction::None | Reduction::Sum => (0, 1.0),
            Reduction::Mean => (0, inverse(f64::from(extent.rows))),
            Reduction::Fixed(denominator) => (0, inverse(denominator)),
            Reduction::MeanKept | Reduction::Positives => (1, 0.0),
            Reduction::Elements => (0, inverse(f64::from(extent.rows) * f64::from(extent.classes))),
            Reduction::WeightedMean => (2, 0.0),
        };
        let focal = spec.focal.as_ref();
        let influence = spec.influence.as_ref();
        let seesaw = spec.seesaw.as_ref();
        let gate = spec.gate.as_ref();
        let seed = gate.map_or(0, |gate| gate.seed);
        Self {
            rows: extent.rows,
            classes: extent.classes,
            first_row: extent.first_row,
            logits_stride: extent.logits_stride,
            gradient_stride: extent.gradient_stride,
            dense_stride: extent.classes,
            reduction,
            scale: narrow(spec.scale),
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
            flags: flag(extent.row_weights, 1)
                | flag(influence.is_some(), 2)
                | flag(spec.ignore_index.is_some(), 4)
                | flag(spec.class_smoothing.is_some(), 8),
            infinity: f32::INFINITY.to_bits(),
            nan: f32::NAN.to_bits(),
        }
    }
}

/// The class table `[columns, K]` of a spec, column after column. The counts' powers are 1 here: the device
/// writes them from its cumulative counts.
pub(crate) fn class_table(spec: &SoftmaxLoss, terms: &InnerTerms, classes: usize) -> Vec<f32> {
    let mut table = Vec::with_capacity(terms.columns().len() * classes);
    for column in terms.columns() {
        let (values, default) = match column {
            Column::Weight => (&spec.class_weights, 1.0),
            Column::Margin => (&spec.margin, 0.0),
            Column::Smoothing => (&spec.class_smoothing, 0.0),
            Column::ClassScale => (&spec.class_scale, 1.0),
            Column::Bias => (&spec.bias, 0.0),
            Column::Power => (&None, 1.0),
            Column::Tail => {
                let tail = spec.gate.as_ref().map_or(&[][..], |gate| gate.tail.as_slice());
                table.extend(tail.iter().map(|&tail| if tail { 1.0 } else { 0.0 }));
                continue;
            }
        };
        match values {
            // A class that is taken out has the lowest finite value: the kernels know no -inf of their own.
            Some(values) => table.extend(values.iter().map(|&value| narrow(value).max(f32::MIN))),
            None => table.extend(std::iter::repeat_n(default, classes)),
        }
    }
    table
}
