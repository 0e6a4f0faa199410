//! A spec's numbers as the kernels read them: the uniform block, and the table of experts.

use crate::Reduction;
use crate::distillation::{DistillationLoss, Expert};

/// The uniform block of a distillation, the twin of `Numbers` in `shaders/distillation/numbers.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[expect(missing_docs, reason = "the fields are the shader's, and are described there")]
pub struct DistillationNumbers {
    pub student_scale: f32,
    pub teacher_scale: f32,
    pub student_unit: f32,
    pub teacher_unit: f32,
    pub student_exponent: f32,
    pub teacher_exponent: f32,
    pub factor: f32,
    pub slope: f32,
    pub experts: u32,
    pub teacher_columns: u32,
    pub base_factor: f32,
    pub inverse: f32,
    pub by_kept: u32,
    pub table: u32,
}

/// Columns of the table of experts.
const COLUMNS: usize = 5;
/// Columns of the class table that a spec's experts take.
pub(super) fn table_columns(spec: &DistillationLoss) -> u64 {
    if spec.experts.is_some() { COLUMNS as u64 } else { 0 }
}

/// Fields that a row leaves of its softmaxes: four of one teacher, two of each expert and of the classes that none has.
pub(super) fn saved_fields(spec: &DistillationLoss) -> u64 {
    spec.experts.as_ref().map_or(4, |experts| 2 * (experts.len() as u64 + 1))
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
    /// The numbers of a spec that has passed its check, for a batch of `rows`; the experts' table begins at the class
    /// table's column `table`.
    pub(super) fn new(spec: &DistillationLoss, rows: u64, classes: usize, table: u64) -> Self {
        let squared = if spec.squared { spec.temperature * spec.temperature } else { 1.0 };
        let factor = spec.weight * squared;
        let (student, teacher) = (1.0 / spec.temperature, spec.teacher_power / spec.temperature);
        let inverse = |denominator: f64| if denominator > 0.0 { narrow(1.0 / denominator) } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "an f32 denominator has fewer bits")]
        let batch = rows as f64;
        let (by_kept, inverse) = match spec.reduction {
            Reduction::None | Reduction::Sum => (0, 1.0),
            Reduction::Mean => (0, inverse(batch)),
            Reduction::Fixed(denominator) => (0, inverse(denominator)),
            // What rows count is not weighted; the check refuses the others.
            _ => (1, 0.0),
        };
        Self {
            student_scale: narrow(student),
            teacher_scale: narrow(teacher),
            student_unit: narrow(1.0 / student),
            teacher_unit: narrow(1.0 / teacher),
            student_exponent: narrow(student * std::f64::consts::LOG2_E),
            teacher_exponent: narrow(teacher * std::f64::consts::LOG2_E),
            factor: narrow(factor),
            slope: narrow(factor / spec.temperature),
            experts: count(spec.experts.as_ref().map_or(1, Vec::len)),
            teacher_columns: count(spec.teacher_columns(classes)),
            base_factor: narrow(spec.base_weight),
            inverse,
            by_kept,
            table: u32::try_from(table).unwrap_or(u32::MAX),
        }
    }
}

/// The table: each class's expert, or their number without one, and its column of the teacher's; each of those columns'
/// class, then the classes without an expert; each expert's first column and factor.
pub(super) fn table(experts: &[Expert], classes: usize) -> Vec<f32> {
    let mut columns: [Vec<f32>; COLUMNS] = std::array::from_fn(|_| vec![0.0; classes]);
    let [of_expert, of_column, class_of, begins, weights] = &mut columns;
    of_expert.fill(narrow(experts.len() as f64));
    let mut free = vec![true; classes];
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
            if let Some(free) = free.get_mut(class_index) {
                *free = false;
            }
            next += 1;
        }
    }
    for (class, _) in free.iter().enumerate().filter(|(_, free)| **free) {
        put(class_of, next, class as f64);
        next += 1;
    }
    columns.concat()
}
