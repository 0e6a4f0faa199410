// The weights P and Q that the accumulated gradients give, into the class table:
//
//   g = positive / (negative + 1e-10),   Q = sigmoid(gamma (g - mu)),   P = 1 + alpha (1 - Q)
//
// 1 and 1 for a class whose sums are both 0. Dispatch: ceil(K / WG) workgroups for each range of classes.

@group(0) @binding(2) var<storage, read> gradient_sums: array<f32>;
@group(0) @binding(3) var<storage, read_write> classes: array<f32>;

@compute @workgroup_size(WG)
fn main(
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
) {
  let j = linear_workgroup(id, count) * WG + local.x;
  if (j >= window.classes) {
    return;
  }
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
