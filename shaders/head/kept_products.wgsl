// A workgroup's part of the products stays on chip: products[column * ROOTS + i] has rows 4 i to 4 i + 3.

var<workgroup> products: array<vec4<f32>, GROUP_N * ROOTS>;

// Column i of q is row m + i.
fn store_quad(m: u32, n: u32, q: mat4x4<f32>) {
  let rows = transpose(q);
  let at = (n % GROUP_N) * ROOTS + (m % GROUP_M) / 4u;
  products[at] = rows[0];
  products[at + ROOTS] = rows[1];
  products[at + 2u * ROOTS] = rows[2];
  products[at + 3u * ROOTS] = rows[3];
}
