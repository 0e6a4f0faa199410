// What the kernels of a product share.

// Adds the product of two sides, four k at a time: column i of `a` has the rows at k + i, of `b` the columns.
fn add_product(q: mat4x4<f32>, a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> {
  return add_outer(add_outer(add_outer(add_outer(q, a[0], b[0]), a[1], b[1]), a[2], b[2]), a[3], b[3]);
}

fn add_outer(q: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(q[0] + a.x * b, q[1] + a.y * b, q[2] + a.z * b, q[3] + a.w * b);
}

// Adds four k of four rows of A to their sums.
fn add_rows(sums: vec4<f32>, a: mat4x4<f32>) -> vec4<f32> {
  return sums + ((a[0] + a[1]) + (a[2] + a[3]));
}

// Four rows' sums, from the thread at C's first column.
fn put_row_sums(m: u32, n: u32, sums: vec4<f32>) {
  if (HAS_ROW_SUMS && n == 0u) {
    put_row_sum(m, sums.x);
    put_row_sum(m + 1u, sums.y);
    put_row_sum(m + 2u, sums.z);
    put_row_sum(m + 3u, sums.w);
  }
}
