// What the kernels that compute logits as they need them know of each class of a range, field by field; the factors of
// its parts follow.

const CLASS_SQUARE: u32 = 0u;
const CLASS_BIAS: u32 = 1u;
const CLASS_SCALE: u32 = 2u;
const CLASS_FACTORS: u32 = 3u;
