// The numbers of a distillation, and its table of experts. The host's struct is checked against this one by a test.

struct Numbers {
  // One by the temperature, and the teacher's power by it: what logits are multiplied by.
  student_scale: f32,
  teacher_scale: f32,
  // One by them, and what they are in an exponent of 2.
  student_unit: f32,
  teacher_unit: f32,
  student_exponent: f32,
  teacher_exponent: f32,
  // What a row's divergence, and its gradient in z / T, are multiplied by.
  factor: f32,
  slope: f32,
  experts: u32,
  teacher_columns: u32,
  // With a base in the same passes: its factor, and one by the divergence's denominator, unless that counts rows.
  base_factor: f32,
  inverse: f32,
  by_kept: u32,
  // The first column of the experts' table.
  table: u32,
}

@group(0) @binding(11) var<uniform> numbers: Numbers;

// classes[], from numbers.table on: each class's expert, or how many there are, and its column of the teacher's; the class
// of each of the teacher's columns, then the classes without an expert; the first of each expert's columns, and the
// expert's factor.
const TABLE_EXPERT: u32 = 0u;
const TABLE_COLUMN: u32 = 1u;
const TABLE_CLASS: u32 = 2u;
const TABLE_BEGIN: u32 = 3u;
const TABLE_WEIGHT: u32 = 4u;

fn table(column: u32, i: u32) -> f32 {
  return classes[(numbers.table + column) * window.classes + i];
}

// A factor of 0 silences an infinite loss too.
fn by_factor(factor: F, x: F) -> F {
  return select(factor * x, F(0.0), factor == F(0.0));
}

// exp of a difference of two logits by their scale: logits stay as they are until then, so -inf stays a mask.
fn exp_student(x: F) -> F {
  return exp2(numbers.student_exponent * x);
}

fn exp_teacher(x: F) -> F {
  return exp2(numbers.teacher_exponent * x);
}
