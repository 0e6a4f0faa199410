// The effect of a direction on the normalised features.

struct Effect {
  factor: f32,
  along: f32,
}

fn direction_of(column: u32) -> f32 {
  return direction[column];
}

fn effect_of(part: Part, thread: u32) -> Effect {
  var sums = vec3<f32>(0.0);
  for (var column = part.start + thread; column < part.end; column += WG) {
    let x = load_a(part.row, column).x - centre_of(column);
    let c = direction_of(column);
    sums += vec3<f32>(x * x, c * c, x * c);
  }
  let square = sum_over_threads(thread, sums.x);
  workgroupBarrier();
  let direction_square = sum_over_threads(thread, sums.y);
  workgroupBarrier();
  let product = sum_over_threads(thread, sums.z);
  var effect = Effect(row_factor(square).scale, 0.0);
  if (square > 0.0 && direction_square > 0.0) {
    // cos / |c|, one division after the other: the product of two short norms is too small for f32.
    effect.along = params.effect * (product / sqrt(square) / sqrt(direction_square)) / sqrt(direction_square);
  }
  return effect;
}
