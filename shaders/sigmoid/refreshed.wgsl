// The weights P and Q that the accumulated gradients of a class give, into the class table:
//
//   g = positive / (negative + 1e-10),   Q = sigmoid(gamma (g - mu)),   P = 1 + alpha (1 - Q)
//
// 1 and 1 for a class whose sums are both 0.

@group(0) @binding(3) var<storage, read_write> classes: array<f32>;
@group(0) @binding(6) var<storage, read> gradient_sums: array<f32>;

fn refresh_class(j: u32) {
  let positive = gradient_sums[4u * j];
  let negative = gradient_sums[4u * j + 2u];
  var p = 1.0;
  var q = 1.0;
  if (positive != 0.0 || negative != 0.0) {
    let g = min(positive / (negative + 1e-10), 1e30);
    let x = clamp(spec.balance_gamma * (g - spec.balance_mu), -80.0, 80.0);
    let small = exp(-abs(x));
    let larger = 1.0 / (1.0 + small);
    q = select(small * larger, larger, x > 0.0);
    p = 1.0 + spec.balance_alpha * select(larger, small * larger, x > 0.0);
  }
  classes[COLUMN_POSITIVE * window.classes + j] = p;
  classes[COLUMN_NEGATIVE * window.classes + j] = q;
}
