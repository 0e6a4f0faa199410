// Products by one subgroup of 8 threads that hand each other their elements of A: 32 rows of A, of which each thread
// reads an eighth, with 32 columns of B, of which each thread reads four. No workgroup memory.
//
// For processors, where a load costs more than the multiplications that follow from it, and handing over costs
// nothing. The subgroup must have 8 threads, and the workgroup be one subgroup.

// Eight rows of C, four columns wide. Column i of a block is its row i.
struct Eight {
  low: mat4x4<f32>,
  high: mat4x4<f32>,
}

fn add_eight(sum: Eight, own: vec4<f32>, b: mat4x4<f32>) -> Eight {
  return Eight(add_product(sum.low, low_rows(own), b), add_product(sum.high, high_rows(own), b));
}

// The part of C at `place`.
fn multiply(place: vec2<u32>, lane: u32) {
  let m = place.x;
  let n = place.y + 4u * lane;
  var c0: Eight;
  var c1: Eight;
  var c2: Eight;
  var c3: Eight;
  // What the thread has read of A, added up.
  var s0: vec4<f32>;
  var s1: vec4<f32>;
  var s2: vec4<f32>;
  var s3: vec4<f32>;
  for (var k = 0u; k < params.k; k += 4u) {
    let a0 = own_a(m, k, lane);
    let a1 = own_a(m + 8u, k, lane);
    let a2 = own_a(m + 16u, k, lane);
    let a3 = own_a(m + 24u, k, lane);
    let b = hand_b(n, k, lane);
    c0 = add_eight(c0, a0, b);
    c1 = add_eight(c1, a1, b);
    c2 = add_eight(c2, a2, b);
    c3 = add_eight(c3, a3, b);
    if (HAS_ROW_SUMS) {
      s0 += a0;
      s1 += a1;
      s2 += a2;
      s3 += a3;
    }
  }
  store_eights(m, n, lane, c0, c1, c2, c3);
  if (HAS_ROW_SUMS && place.y == 0u) {
    put_row_sum(m + lane, row_sum(s0, lane));
    put_row_sum(m + 8u + lane, row_sum(s1, lane));
    put_row_sum(m + 16u + lane, row_sum(s2, lane));
    put_row_sum(m + 24u + lane, row_sum(s3, lane));
  }
}
