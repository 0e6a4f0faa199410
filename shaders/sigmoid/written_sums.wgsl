// Gradients for column_tree.wgsl as they have been written, in f32 and over the denominator.

@group(0) @binding(1) var<storage, read> scalars: array<u32>;
@group(0) @binding(2) var<storage, read> rows_in: array<u32>;
@group(0) @binding(5) var<storage, read> written: array<f32>;

fn shares_of(n: u32, j: u32) -> vec2<f32> {
  let gradient = written[window.gradient_origin + n * window.gradient_stride + j];
  if (MULTI_HOT) {
    return shares(gradient, load_dense(window.dense_origin + n * window.dense_stride + j));
  }
  let label = bitcast<i32>(rows_in[FIELD_LABEL * window.rows + n]);
  return shares(gradient, select(0.0, 1.0, label == i32(j + window.first_class)));
}

// Without a denominator nothing has a gradient.
fn unscaled() -> f32 {
  let inverse = bitcast<f32>(scalars[SCALAR_INVERSE]);
  return select(0.0, 1.0 / inverse, inverse != 0.0);
}
