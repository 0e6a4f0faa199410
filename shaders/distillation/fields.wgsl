// What a row leaves of a distillation in saved[]. SAVED_OWN comes from the header: with a base its coefficients
// (softmax_fields.wgsl) come before, and the row's part of the reduced loss.
const SAVED_REDUCED: u32 = SAVED_EXTRA + 6u;

// What the row's gradient is multiplied by, then what its softmaxes come to, the student's and the teacher's in turn: of
// one teacher the largest logit and one by the sum of exponentials; of each of several experts the logarithm of the mass,
// less that of the expert's factor, in units of the logits, since every class loads them.
const SAVED_FACTOR: u32 = SAVED_OWN;
const SAVED_EXPERTS: u32 = SAVED_OWN + 1u;
const EXPERT_FIELDS: u32 = 2u;

// scalars[]: one by the number of rows that count.
const SCALAR_KEPT: u32 = 10u;
