// What rows add to a class's accumulated gradients. A workgroup of down_columns.wgsl leaves its rows' sums, for
// part_sums.wgsl.

// [workgroups with rows of their own, 2, K]: of negatives, and of positives.
@group(0) @binding(8) var<storage, read_write> gradient_parts: array<f32>;

struct Share {
  positive: F,
  negative: F,
}

// A row without a gradient, which the status reports, must not spoil what has been accumulated.
fn share_of(one: Element) -> Share {
  let bits = bits_of(one.slope) & U(0x7fffffffu);
  let size = select(float_of_bits(bits), F(0.0), bits >= U(0x7f800000u));
  if (MULTI_HOT) {
    return Share(one.t * size, (1.0 - one.t) * size);
  }
  let label = one.t > F(0.0);
  return Share(select(F(0.0), size, label), select(size, F(0.0), label));
}

fn both_shares(x: Share, y: Share) -> Share {
  return Share(x.positive + y.positive, x.negative + y.negative);
}

// The first rows of a workgroup lay a class's sums down, further ones add.
fn leave(walker: u32, j: u32, share: Share, first: bool) {
  let at = 2u * walker * window.classes + j;
  gradient_parts[at] = select(gradient_parts[at], 0.0, first) + sum_of_lanes(share.negative);
  // Few columns of sixteen rows have a label. A loop is a real branch on processors, which run both sides of an `if`.
  let turns = select(0u, 1u, MULTI_HOT || first || any_lane(share.positive != F(0.0)));
  for (var turn = 0u; turn < turns; turn++) {
    let place = at + window.classes;
    gradient_parts[place] = select(gradient_parts[place], 0.0, first) + sum_of_lanes(share.positive);
  }
}
