// The sum of a range of items over the threads of a workgroup, in a fixed order. SUM_ITEMS of them are a range that
// one workgroup leaves as a sum of its own.

var<workgroup> tree: array<f32, WG>;

fn sum_over_workgroup(thread: u32, begin: u32, end: u32) -> f32 {
  var sum = 0.0;
  var i = begin + thread;
  // Four at a time: their loads are in flight together.
  for (; i + 3u * WG < end; i += 4u * WG) {
    sum += (item(i) + item(i + WG)) + (item(i + 2u * WG) + item(i + 3u * WG));
  }
  for (; i < end; i += WG) {
    sum += item(i);
  }
  tree[thread] = sum;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (thread < half) {
      tree[thread] += tree[thread + half];
    }
    workgroupBarrier();
  }
  return tree[0];
}
