//! A spec's numbers as the kernels read them: the uniform block, and the table of experts.

use crate::distillation::{DistillationLoss, Expert};

/// The uniform block of a distillation, the twin of `Numbers` in `shaders/distillation/numbers.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there")]
pub struct DistillationNumbers {
    pub inverse_temperature: f32,
    pub teacher_scale: f32,
    pub factor: f32,
    pub slope: f32,
    pub old_factor: f32,
    pub experts: u32,
    pub teacher_columns: u32,
}

/// Columns of the table of experts.
pub(super) const COLUMNS: usize = 5;
/// Fields that a row leaves for each expert.
pub(super) const EXPERT_FIELDS: u64 = 4;

/// How many softmaxes a row has.
pub(super) fn experts(spec: &DistillationLoss) -> usize {
    spec.experts.as_ref().map_or(1, Vec::len)
}

/// Narrows a checked number, held where it leaves f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the kernels compute in")]
fn narrow(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl DistillationNumbers {
    /// The numbers of a spec that has passed its check.
    pub(super) fn new(spec: &DistillationLoss, classes: usize) -> Self {
        let squared = if spec.squared { spec.temperature * spec.temperature } else { 1.0 };
        let factor = spec.weight * squared;
        Self {
            inverse_temperature: narrow(1.0 / spec.temperature),
            teacher_scale: narrow(spec.teacher_power / spec.temperature),
            factor: narrow(factor),
            slope: narrow(factor / spec.temperature),
            // The base's gradient comes first, without its factor.
            old_factor: if spec.base.is_some() { narrow(spec.base_weight) } else { 1.0 },
            experts: count(experts(spec)),
            teacher_columns: count(spec.teacher_columns(classes)),
        }
    }
}

/// The table: each class's expert and column of the teacher's, -1 without; each of those columns' class; each expert's
/// first column and factor.
pub(super) fn table(experts: &[Expert], classes: usize) -> Vec<f32> {
    let mut columns: [Vec<f32>; COLUMNS] = std::array::from_fn(|_| vec![-1.0; classes]);
    let [of_expert, of_column, class_of, begins, weights] = &mut columns;
    let mut next = 0;
    let put = |column: &mut Vec<f32>, at: usize, value: f64| {
        if let Some(slot) = column.get_mut(at) {
            *slot = narrow(value);
        }
    };
    for (number, expert) in experts.iter().enumerate() {
        put(begins, number, next as f64);
        put(weights, number, expert.weight);
        for &class in &expert.classes {
            let class_index = usize::try_from(class).unwrap_or(usize::MAX);
            put(of_expert, class_index, number as f64);
            put(of_column, class_index, next as f64);
            put(class_of, next, f64::from(class));
            next += 1;
        }
    }
    columns.concat()
}
