// What happens once a pass, in one thread: the denominator where it is known beforehand, and the gates' key. Needs the
// family's spec with a reduction and a seed.

fn start_pass() {
  if (spec.reduction == REDUCTION_FIXED) {
    scalars[SCALAR_INVERSE] = bitcast<u32>(spec.fixed_inverse);
  }
  let low = scalars[SCALAR_STEP_LOW];
  let high = scalars[SCALAR_STEP_HIGH];
  let key = threefry_under(spec.seed_low, spec.seed_high, low, high);
  scalars[SCALAR_KEY_0] = key.x;
  scalars[SCALAR_KEY_1] = key.y;
  scalars[SCALAR_STEP_LOW] = low + 1u;
  scalars[SCALAR_STEP_HIGH] = high + select(0u, 1u, low == 0xffffffffu);
}
