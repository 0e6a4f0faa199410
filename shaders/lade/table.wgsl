// The regulariser's columns of the class table, from first_column() on: the spec's two; what rows have added up to so far,
// which are the largest z + ratio, the sum of exponentials under it, the class's own logits, how many of them, and how many
// rows count; and in the place of the first three, when all rows have been there, what the gradient is made of.
const TABLE_RATIO: u32 = 0u;
const TABLE_WEIGHT: u32 = 1u;
const TABLE_MAX: u32 = 2u;
const TABLE_SUM: u32 = 3u;
const TABLE_OWN: u32 = 4u;
const TABLE_COUNT: u32 = 5u;
const TABLE_KEPT: u32 = 6u;
// ratio - max, and the factors of e^{z + shift} and of the class's own rows.
const TABLE_SHIFT: u32 = TABLE_MAX;
const TABLE_FACTOR_ALL: u32 = TABLE_SUM;
const TABLE_FACTOR_OWN: u32 = TABLE_OWN;

fn table(column: u32, j: u32) -> f32 {
  return classes[(first_column() + column) * window.classes + j];
}
