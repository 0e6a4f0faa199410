// What the kernels of a product share.

// Adds the product of two sides, four k at a time: column i of `a` has the rows at k + i, of `b` the columns.
fn add_product(q: mat4x4<f32>, a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> {
  return add_outer(add_outer(add_outer(add_outer(q, a[0], b[0]), a[1], b[1]), a[2], b[2]), a[3], b[3]);
}

fn add_outer(q: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(q[0] + a.x * b, q[1] + a.y * b, q[2] + a.z * b, q[3] + a.w * b);
}
