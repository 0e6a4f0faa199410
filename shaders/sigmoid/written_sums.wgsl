// Gradients for column_tree.wgsl as they have been written, in f32 and over the denominator. No weight is negative, so that
// a label's gradient is never above 0 and that of any other class never below: the sign says which it is.

@group(0) @binding(1) var<storage, read> scalars: array<u32>;
@group(0) @binding(5) var<storage, read> written: array<f32>;

fn shares_of(n: u32, j: vec4<u32>) -> Shares {
  let at = j + window.gradient_origin + n * window.gradient_stride;
  let gradient = vec4<f32>(written[at.x], written[at.y], written[at.z], written[at.w]);
  if (MULTI_HOT) {
    let targets = j + window.dense_origin + n * window.dense_stride;
    return shares(gradient, vec4<f32>(load_dense(targets.x), load_dense(targets.y), load_dense(targets.z), load_dense(targets.w)));
  }
  return shares(gradient, select(vec4<f32>(0.0), vec4<f32>(1.0), gradient < vec4<f32>(0.0)));
}

fn items() -> u32 {
  return window.rows;
}

// Without a denominator nothing has a gradient.
fn unscaled() -> f32 {
  let inverse = bitcast<f32>(scalars[SCALAR_INVERSE]);
  return select(0.0, 1.0 / inverse, inverse != 0.0);
}
