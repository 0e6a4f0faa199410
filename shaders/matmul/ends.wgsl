// What a row and four columns of C meet when they are stored: factors of rows that are left to the end, and what is added.

struct ColumnEnd {
  factor: vec4<f32>,
  offset: vec4<f32>,
}

// The factor, then what is added.
fn row_end(m: u32) -> vec2<f32> {
  return vec2<f32>(late_a(m), row_offset(m));
}

fn column_end(n: u32) -> ColumnEnd {
  return ColumnEnd(late_b(n), column_offset(n));
}

// Four columns of a row of C.
fn store_ended(m: u32, n: u32, value: vec4<f32>, row: vec2<f32>, column: ColumnEnd) {
  let product = params.alpha * (value * (row.x * column.factor));
  if (HAS_OFFSETS) {
    store_sum(m, n, params.n, product + (row.y + column.offset));
  } else {
    store_sum(m, n, params.n, product);
  }
}

fn store_row(m: u32, n: u32, value: vec4<f32>) {
  store_ended(m, n, value, row_end(m), column_end(n));
}

fn store_quad(m: u32, n: u32, q: mat4x4<f32>) {
  store_row(m, n, q[0]);
  store_row(m + 1u, n, q[1]);
  store_row(m + 2u, n, q[2]);
  store_row(m + 3u, n, q[3]);
}
