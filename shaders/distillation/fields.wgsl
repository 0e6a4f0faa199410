// What a row leaves of a distillation in saved[]. SAVED_OWN comes from the header: with a base its coefficients
// (softmax_fields.wgsl) come before, and in the place of a threshold, which no such base has, the row's part of the
// reduced loss.
const SAVED_REDUCED: u32 = SAVED_EXTRA + 5u;

// What the row's gradient is multiplied by, then for each expert the logarithms of the masses of the student's and the
// teacher's softmax, less that of the expert's factor.
const SAVED_FACTOR: u32 = SAVED_OWN;
const SAVED_EXPERTS: u32 = SAVED_OWN + 1u;
const EXPERT_FIELDS: u32 = 2u;

// scalars[]: one by the number of rows that count.
const SCALAR_KEPT: u32 = 10u;
