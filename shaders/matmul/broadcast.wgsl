// Products by one subgroup of 8 threads that hand each other their elements of A: 32 rows of A, of which each thread
// reads an eighth, with 32 columns of B, of which each thread reads four. No workgroup memory.
//
// For processors, where a load costs more than the multiplications that follow from it, and handing over costs
// nothing. The subgroup must have 8 threads, and the workgroup be one subgroup.
//
// Dispatch: params.tiles workgroups of 8 threads in a grid of two dimensions.

// Eight rows of C, four columns wide. Column i of a block is its row i.
struct Eight {
  low: mat4x4<f32>,
  high: mat4x4<f32>,
}

fn add_eight(sum: Eight, own: vec4<f32>, b: mat4x4<f32>) -> Eight {
  return Eight(add_product(sum.low, low_rows(own), b), add_product(sum.high, high_rows(own), b));
}

// The threads read what the eight rows meet at their end, a row each, and hand it over.
fn store_eight(m: u32, n: u32, lane: u32, rows: Eight, column: ColumnEnd) {
  let own = row_end(m + lane);
  store_ended(m, n, rows.low[0], subgroupBroadcast(own, 0u), column);
  store_ended(m + 1u, n, rows.low[1], subgroupBroadcast(own, 1u), column);
  store_ended(m + 2u, n, rows.low[2], subgroupBroadcast(own, 2u), column);
  store_ended(m + 3u, n, rows.low[3], subgroupBroadcast(own, 3u), column);
  store_ended(m + 4u, n, rows.high[0], subgroupBroadcast(own, 4u), column);
  store_ended(m + 5u, n, rows.high[1], subgroupBroadcast(own, 5u), column);
  store_ended(m + 6u, n, rows.high[2], subgroupBroadcast(own, 6u), column);
  store_ended(m + 7u, n, rows.high[3], subgroupBroadcast(own, 7u), column);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let index = group.x + group.y * groups.x;
  if (index >= params.tiles) {
    return;
  }
  let place = group_place(index);
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
  let column = column_end(n);
  store_eight(m, n, lane, c0, column);
  store_eight(m + 8u, n, lane, c1, column);
  store_eight(m + 16u, n, lane, c2, column);
  store_eight(m + 24u, n, lane, c3, column);
  if (HAS_ROW_SUMS && place.y == 0u) {
    put_row_sum(m + lane, row_sum(s0, lane));
    put_row_sum(m + 8u + lane, row_sum(s1, lane));
    put_row_sum(m + 16u + lane, row_sum(s2, lane));
    put_row_sum(m + 24u + lane, row_sum(s3, lane));
  }
}
