// The numbers of a distillation, and its table of experts. The host's struct is checked against this one by a test.

struct Numbers {
  inverse_temperature: f32,
  // The teacher's power by the temperature.
  teacher_scale: f32,
  // What a row's divergence, and its gradient in z / T, are multiplied by.
  factor: f32,
  slope: f32,
  // What the gradient that is added to is multiplied by.
  old_factor: f32,
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

// A logit by its scale. -inf stays masked; what overflows is held, and is no mask.
fn by_scale(x: F, scale: f32) -> F {
  return select(clamp(x * scale, F(-3.0e38), F(3.0e38)), F(NEG_MAX), x < F(NEG_MAX));
}
