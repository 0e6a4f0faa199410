// The factor that normalises a row, from the sum of its squares: 1 / (max(|x|, eps) + offset)^power, and what the
// gradient along the row is multiplied by: power / (|x| (|x| + offset)) where the norm is not on its floor.

struct RowFactor {
  scale: f32,
  along: f32,
}

fn row_factor(sum: f32) -> RowFactor {
  let norm = sqrt(sum);
  let divisor = max(norm, params.eps) + params.offset;
  var out = RowFactor(1.0, 0.0);
  if (params.power == 0.0) {
    return out;
  }
  // One division where that is all: pow is less exact.
  out.scale = 1.0 / divisor;
  if (params.power != 1.0) {
    out.scale = pow(divisor, -params.power);
  }
  if (norm >= params.eps && norm > 0.0) {
    // One after the other: the product of two short norms is too small for f32.
    out.along = params.power / norm / divisor;
  }
  return out;
}
