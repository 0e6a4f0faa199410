// The label's similarity with its margin, and the derivative by the similarity.

struct Slope {
  value: f32,
  derivative: f32,
}

fn with_margin(similarity: f32) -> Slope {
  if (MARGIN == MARGIN_COSINE) {
    return Slope(similarity - params.margin, 1.0);
  }
  // Rounding takes the product of two unit rows beyond 1.
  let cosine = clamp(similarity, -1.0, 1.0);
  var applies = true;
  if (BEYOND == BEYOND_LINEAR) {
    applies = cosine > params.margin_limit;
  }
  if (BEYOND == BEYOND_EASY) {
    applies = cosine > 0.0;
  }
  if (!applies) {
    // margin_drop is 0 but for the linear continuation.
    return Slope(cosine - params.margin_drop, 1.0);
  }
  // (1 - c)(1 + c) keeps the digits that 1 - c c loses near 1.
  let sine = sqrt((1.0 - cosine) * (1.0 + cosine));
  var derivative = 1.0;
  if (!STRAIGHT_THROUGH) {
    derivative = params.margin_cos + params.margin_sin * cosine / max(sine, params.sine_floor);
  }
  return Slope(cosine * params.margin_cos - sine * params.margin_sin, derivative);
}
