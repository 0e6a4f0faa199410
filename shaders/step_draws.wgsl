// The generator under the step's key. Needs `scalars` and threefry.wgsl.

fn threefry(c0: u32, c1: u32) -> vec2<u32> {
  return threefry_under(scalars[SCALAR_KEY_0], scalars[SCALAR_KEY_1], c0, c1);
}
