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
}

@group(0) @binding(10) var<uniform> numbers: Numbers;

// classes[]: each class's expert, negative without one, and its column of the teacher's; the class of each of the
// teacher's columns; the first of each expert's columns, and the expert's factor.
const TABLE_EXPERT: u32 = 0u;
const TABLE_COLUMN: u32 = 1u;
const TABLE_CLASS: u32 = 2u;
const TABLE_BEGIN: u32 = 3u;
const TABLE_WEIGHT: u32 = 4u;

fn table(column: u32, i: u32) -> f32 {
  return classes[column * window.classes + i];
}

fn expert_weight(expert: u32) -> f32 {
  if (EXPERTS) {
    return table(TABLE_WEIGHT, expert);
  }
  return 1.0;
}

// saved[]: what the row's gradient is multiplied by, then for each expert the maximum and one by the sum of
// exponentials of the student's logits, and of the teacher's.
const SAVED_FACTOR: u32 = SAVED_EXTRA;
const SAVED_EXPERTS: u32 = SAVED_EXTRA + 1u;
const EXPERT_FIELDS: u32 = 4u;

// A logit by its scale. -inf stays masked; what overflows is held, and is no mask.
fn by_scale(x: f32, scale: f32) -> f32 {
  return select(clamp(x * scale, -3.0e38, 3.0e38), NEG_MAX, x < NEG_MAX);
}
